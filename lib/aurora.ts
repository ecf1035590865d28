import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  AuroraPostgresEngineVersion,
  CaCertificate,
  ClusterInstance,
  ClusterScalabilityType,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
  DatabaseInsightsMode,
  DBClusterStorageType,
  EngineLifecycleSupport,
  ParameterGroup,
  PerformanceInsightRetention,
  type IClusterInstance,
  type ClusterInstanceOptions,
} from 'aws-cdk-lib/aws-rds';
import type { Construct } from 'constructs';
import type { DatabaseParts, DatabaseResource } from './database';
import { templateParameters } from './database-parameters';
import type { ResolvedAurora } from './settings';

/** An Aurora PostgreSQL cluster: a writer, and the readers of the settings. */
export function aurora(scope: Construct, settings: ResolvedAurora, parts: DatabaseParts): DatabaseResource {
  const engine = DatabaseClusterEngine.auroraPostgres({
    version: AuroraPostgresEngineVersion.of(settings.version, settings.version.split('.')[0] ?? ''),
  });
  const clusterParameters = new ParameterGroup(scope, 'Parameters', {
    engine,
    description: 'Ibex target; reasons in lib/database-parameters.ts',
    parameters: templateParameters(settings.engine, 'cluster'),
  });
  // Attaching another group later would need a restart of each instance, so it is there from the start.
  const instanceParameters = new ParameterGroup(scope, 'InstanceParameters', {
    engine,
    description: 'Ibex target, each instance; reasons in lib/database-parameters.ts',
    parameters: templateParameters(settings.engine, 'instance'),
  });
  const advanced = settings.insights === 'advanced';
  // For cluster and instances alike: CDK warns of an instance that does not say what its cluster says.
  const insights = {
    enablePerformanceInsights: true,
    performanceInsightEncryptionKey: parts.key,
    performanceInsightRetention: advanced ? PerformanceInsightRetention.MONTHS_15 : PerformanceInsightRetention.DEFAULT,
  };
  const instance = instanceMaker(settings, { ...insights, parameterGroup: instanceParameters });
  const cluster = new DatabaseCluster(scope, 'Cluster', {
    engine,
    vpc: parts.vpc,
    vpcSubnets: { subnets: [...parts.subnets] },
    securityGroups: [parts.securityGroup],
    port: parts.port,
    writer: instance('Writer'),
    readers: Array.from({ length: settings.readers }, (_, index) => instance(`Reader${index + 1}`)),
    ...(settings.serverless && {
      serverlessV2MinCapacity: settings.serverless.minCapacity,
      serverlessV2MaxCapacity: settings.serverless.maxCapacity,
    }),
    clusterScalabilityType: ClusterScalabilityType.STANDARD,
    defaultDatabaseName: settings.database,
    credentials: Credentials.fromUsername('ibex_master', { encryptionKey: parts.key }),
    manageMasterUserPassword: true,
    storageType: settings.storage === 'io-optimized' ? DBClusterStorageType.AURORA_IOPT1 : DBClusterStorageType.AURORA,
    storageEncrypted: true,
    storageEncryptionKey: parts.key,
    parameterGroup: clusterParameters,
    backup: { retention: Duration.days(settings.backupDays), preferredWindow: settings.backupWindow },
    copyTagsToSnapshot: true,
    preferredMaintenanceWindow: settings.maintenanceWindow,
    ...(settings.enhancedMonitoringSeconds > 0 && {
      monitoringInterval: Duration.seconds(settings.enhancedMonitoringSeconds),
    }),
    databaseInsightsMode: advanced ? DatabaseInsightsMode.ADVANCED : DatabaseInsightsMode.STANDARD,
    ...insights,
    engineLifecycleSupport: EngineLifecycleSupport.OPEN_SOURCE_RDS_EXTENDED_SUPPORT_DISABLED,
    deletionProtection: settings.deletionProtection,
    removalPolicy: RemovalPolicy.SNAPSHOT,
  });
  const { secret } = cluster;
  if (!secret) throw new Error('the cluster has no master secret although RDS is to manage one');
  return {
    secret,
    writerAddress: cluster.clusterEndpoint.hostname,
    instanceAddresses: cluster.instanceEndpoints.map((endpoint) => endpoint.hostname),
    instanceIds: cluster.instanceIdentifiers,
    clusterId: cluster.clusterIdentifier,
    arn: cluster.clusterArn,
    eventType: 'RDS DB Cluster Event',
    parameterGroups: [
      { level: 'cluster', name: clusterParameters.bindToCluster({}).parameterGroupName },
      { level: 'instance', name: instanceParameters.bindToInstance({}).parameterGroupName },
    ],
  };
}

function instanceMaker(settings: ResolvedAurora, given: ClusterInstanceOptions): (id: string) => IClusterInstance {
  const common: ClusterInstanceOptions = {
    ...given,
    caCertificate: CaCertificate.RDS_CA_RSA2048_G1,
    // A minor upgrade restarts the server; during a migration that is decided by a person.
    autoMinorVersionUpgrade: false,
    publiclyAccessible: false,
  };
  if (settings.serverless) return (id) => ClusterInstance.serverlessV2(id, { ...common, scaleWithWriter: true });
  const instanceType = new InstanceType(settings.instanceClass.replace(/^db\./, ''));
  // Every reader is as large as the writer, so each may follow it.
  return (id) => ClusterInstance.provisioned(id, { ...common, instanceType, promotionTier: id === 'Writer' ? 0 : 1 });
}
