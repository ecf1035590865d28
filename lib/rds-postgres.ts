import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  CaCertificate,
  Credentials,
  DatabaseInsightsMode,
  DatabaseInstance,
  DatabaseInstanceEngine,
  DatabaseInstanceReadReplica,
  EngineLifecycleSupport,
  ParameterGroup,
  PerformanceInsightRetention,
  PostgresEngineVersion,
  StorageType,
} from 'aws-cdk-lib/aws-rds';
import type { Construct } from 'constructs';
import type { DatabaseParts, DatabaseResource } from './database';
import { templateParameters } from './database-parameters';
import type { ResolvedRds } from './settings';

/** An RDS for PostgreSQL instance, with a standby where the settings say so, and its read replicas. */
export function rdsPostgres(scope: Construct, settings: ResolvedRds, parts: DatabaseParts): DatabaseResource {
  const engine = DatabaseInstanceEngine.postgres({
    version: PostgresEngineVersion.of(settings.version, settings.version.split('.')[0] ?? ''),
  });
  const parameterGroup = new ParameterGroup(scope, 'Parameters', {
    engine,
    description: 'Ibex target; reasons in lib/database-parameters.ts',
    parameters: templateParameters(settings.engine, 'instance'),
  });
  const { storage } = settings;
  const advanced = settings.insights === 'advanced';
  const both = {
    vpc: parts.vpc,
    vpcSubnets: { subnets: [...parts.subnets] },
    securityGroups: [parts.securityGroup],
    port: parts.port,
    instanceType: new InstanceType(settings.instanceClass.replace(/^db\./, '')),
    parameterGroup,
    storageType: storage.type === 'io2' ? StorageType.IO2 : StorageType.GP3,
    ...(storage.iops !== undefined && { iops: storage.iops }),
    ...(storage.throughputMiBs !== undefined && { storageThroughput: storage.throughputMiBs }),
    ...(storage.maxSizeGiB !== undefined && { maxAllocatedStorage: storage.maxSizeGiB }),
    caCertificate: CaCertificate.RDS_CA_RSA2048_G1,
    // A minor upgrade restarts the server; during a migration that is decided by a person.
    autoMinorVersionUpgrade: false,
    publiclyAccessible: false,
    copyTagsToSnapshot: true,
    preferredMaintenanceWindow: settings.maintenanceWindow,
    ...(settings.enhancedMonitoringSeconds > 0 && {
      monitoringInterval: Duration.seconds(settings.enhancedMonitoringSeconds),
    }),
    databaseInsightsMode: advanced ? DatabaseInsightsMode.ADVANCED : DatabaseInsightsMode.STANDARD,
    enablePerformanceInsights: true,
    performanceInsightEncryptionKey: parts.key,
    performanceInsightRetention: advanced ? PerformanceInsightRetention.MONTHS_15 : PerformanceInsightRetention.DEFAULT,
    deletionProtection: settings.deletionProtection,
  };
  const instance = new DatabaseInstance(scope, 'Instance', {
    ...both,
    engine,
    multiAz: settings.multiAz,
    allocatedStorage: storage.sizeGiB,
    // Replicas in the same Region take the key of their source; RDS refuses to be told one.
    storageEncrypted: true,
    storageEncryptionKey: parts.key,
    databaseName: settings.database,
    credentials: Credentials.fromUsername('ibex_master', { encryptionKey: parts.key }),
    manageMasterUserPassword: true,
    backupRetention: Duration.days(settings.backupDays),
    preferredBackupWindow: settings.backupWindow,
    // What is left of a deleted instance can still be restored to any moment.
    deleteAutomatedBackups: false,
    engineLifecycleSupport: EngineLifecycleSupport.OPEN_SOURCE_RDS_EXTENDED_SUPPORT_DISABLED,
    removalPolicy: RemovalPolicy.SNAPSHOT,
  });
  const replicas = Array.from(
    { length: settings.readers },
    (_, index) =>
      new DatabaseInstanceReadReplica(scope, `Reader${index + 1}`, {
        ...both,
        sourceDatabaseInstance: instance,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
  );
  const { secret, instanceResourceId } = instance;
  if (!secret) throw new Error('the instance has no master secret although RDS is to manage one');
  const servers = [instance, ...replicas];
  return {
    secret,
    writerAddress: instance.dbInstanceEndpointAddress,
    instanceAddresses: servers.map((server) => server.dbInstanceEndpointAddress),
    instanceIds: servers.map((server) => server.instanceIdentifier),
    ...(instanceResourceId !== undefined && { resourceId: instanceResourceId }),
    arn: instance.instanceArn,
    eventType: 'RDS DB Instance Event',
    parameterGroups: [{ level: 'instance', name: parameterGroup.bindToInstance({}).parameterGroupName }],
  };
}
