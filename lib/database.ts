import { CfnOutput, RemovalPolicy, Duration } from 'aws-cdk-lib';
import { InstanceType, SecurityGroup, SubnetType, type IVpc } from 'aws-cdk-lib/aws-ec2';
import {
  AuroraPostgresEngineVersion,
  CaCertificate,
  ClusterInstance,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
  DatabaseInsightsMode,
  DBClusterStorageType,
  EngineLifecycleSupport,
  ParameterGroup,
} from 'aws-cdk-lib/aws-rds';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { DATABASE_PARAMETERS } from './database-parameters';
import type { ResolvedSettings } from './settings';

export interface DatabaseProps {
  readonly vpc: IVpc;
  readonly settings: ResolvedSettings['target'];
}

/** The target: an encrypted Aurora PostgreSQL cluster that nobody reaches who is not let in by name. */
export class Database extends Construct {
  /** Port that every Aurora PostgreSQL of ours listens on. */
  static readonly PORT = 5432;

  readonly cluster: DatabaseCluster;
  readonly securityGroup: SecurityGroup;
  /** User and password of the master user, made and rotated by RDS. */
  readonly secret: ISecret;
  /** Name of the database that the migration fills. */
  readonly databaseName: string;

  constructor(scope: Construct, id: string, { vpc, settings }: DatabaseProps) {
    super(scope, id);
    this.databaseName = settings.database;
    this.securityGroup = new SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Target database; peers are named one by one',
      allowAllOutbound: false,
    });
    const version = settings.version.split('.')[0] ?? '';
    const engine = DatabaseClusterEngine.auroraPostgres({
      version: AuroraPostgresEngineVersion.of(settings.version, version),
    });
    const instance = {
      instanceType: new InstanceType(settings.instanceClass.replace(/^db\./, '')),
      caCertificate: CaCertificate.RDS_CA_RSA2048_G1,
      // A minor upgrade restarts the server; during a migration that is decided by a person.
      autoMinorVersionUpgrade: false,
      publiclyAccessible: false,
      enablePerformanceInsights: true,
    };
    this.cluster = new DatabaseCluster(this, 'Cluster', {
      engine,
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
      securityGroups: [this.securityGroup],
      port: Database.PORT,
      writer: ClusterInstance.provisioned('Writer', instance),
      readers: Array.from({ length: settings.readers }, (_, index) =>
        ClusterInstance.provisioned(`Reader${index + 1}`, { ...instance, promotionTier: 1 }),
      ),
      defaultDatabaseName: settings.database,
      credentials: Credentials.fromUsername('ibex_master'),
      manageMasterUserPassword: true,
      storageType:
        settings.storage === 'io-optimized' ? DBClusterStorageType.AURORA_IOPT1 : DBClusterStorageType.AURORA,
      storageEncrypted: true,
      parameterGroup: new ParameterGroup(this, 'Parameters', {
        engine,
        description: 'Ibex target; reasons in lib/database-parameters.ts',
        parameters: Object.fromEntries(DATABASE_PARAMETERS.map(({ name, value }) => [name, value])),
      }),
      backup: { retention: Duration.days(settings.backupDays) },
      copyTagsToSnapshot: true,
      preferredMaintenanceWindow: settings.maintenanceWindow,
      databaseInsightsMode: DatabaseInsightsMode.STANDARD,
      enablePerformanceInsights: true,
      engineLifecycleSupport: EngineLifecycleSupport.OPEN_SOURCE_RDS_EXTENDED_SUPPORT_DISABLED,
      deletionProtection: settings.deletionProtection,
      removalPolicy: RemovalPolicy.SNAPSHOT,
    });
    const { secret } = this.cluster;
    if (!secret) throw new Error('the cluster has no master secret although RDS is to manage one');
    this.secret = secret;
    new CfnOutput(this, 'WriterAddress', {
      description: 'The writer, without the load balancer between',
      value: this.cluster.clusterEndpoint.hostname,
    });
  }
}
