import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Database } from '../lib/database';
import { resolved, testStack } from './helpers/app';

function database(settings: Parameters<typeof resolved>[0] = {}): Template {
  const stack = testStack();
  const vpc = new Vpc(stack, 'Vpc', {
    subnetConfiguration: [{ name: 'Database', subnetType: SubnetType.PRIVATE_ISOLATED }],
  });
  new Database(stack, 'Database', { vpc, subnets: vpc.isolatedSubnets, settings: resolved(settings).target });
  return Template.fromStack(stack);
}

const aurora = database();
const rds = database({ target: { engine: 'postgres' } });
const CLUSTER = 'AWS::RDS::DBCluster';
const INSTANCE = 'AWS::RDS::DBInstance';
const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^DatabaseKey'), 'Arn'] };

describe.each([
  ['Aurora', aurora, CLUSTER],
  ['RDS for PostgreSQL', rds, INSTANCE],
])('%s', (_engine, template, type) => {
  test('is encrypted with a key of ours, protected, and leaves a snapshot', () => {
    template.hasResource(type, {
      Properties: {
        StorageEncrypted: true,
        KmsKeyId: key,
        DeletionProtection: true,
        CopyTagsToSnapshot: true,
        BackupRetentionPeriod: 7,
        PreferredBackupWindow: '01:00-02:00',
      },
      DeletionPolicy: 'Snapshot',
      UpdateReplacePolicy: 'Snapshot',
    });
  });

  test('keeps that key when the stack goes, rotates it, and leaves its use to IAM of this account', () => {
    template.hasResource('AWS::KMS::Key', {
      Properties: {
        EnableKeyRotation: true,
        KeyPolicy: {
          Statement: [
            Match.objectLike({
              Principal: { AWS: { 'Fn::Join': ['', Match.arrayWith([{ Ref: 'AWS::AccountId' }, ':root'])] } },
            }),
          ],
        },
      },
      DeletionPolicy: 'Retain',
    });
  });

  test('never slips into paid extended support', () => {
    template.hasResourceProperties(type, {
      EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
      EngineVersion: '17.9',
    });
  });

  test('has a master password that RDS makes and keeps, under our key; the template knows none', () => {
    template.hasResourceProperties(type, {
      ManageMasterUserPassword: true,
      MasterUsername: 'ibex_master',
      MasterUserSecret: { KmsKeyId: Match.anyValue() },
      MasterUserPassword: Match.absent(),
    });
  });

  test('is never upgraded by itself, and not seen by the internet', () => {
    template.allResourcesProperties(INSTANCE, { AutoMinorVersionUpgrade: false, PubliclyAccessible: false });
    template.hasResourceProperties(type, { PreferredMaintenanceWindow: 'sun:03:00-sun:04:00' });
  });

  test('is watched: Database Insights in standard mode for a week, Enhanced Monitoring each 15 s', () => {
    template.hasResourceProperties(type, {
      DatabaseInsightsMode: 'standard',
      PerformanceInsightsRetentionPeriod: 7,
    });
    expect(JSON.stringify(template.findResources(type))).toMatch(
      /"PerformanceInsightsK(ms|MS)KeyId":\{"Fn::GetAtt":\["DatabaseKey/,
    );
    template.allResourcesProperties(INSTANCE, { MonitoringInterval: 15, MonitoringRoleArn: Match.anyValue() });
  });

  test('has a security group that is open to nobody, in or out', () => {
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: Match.absent(),
      SecurityGroupEgress: [Match.objectLike({ CidrIp: '255.255.255.255/32' })],
    });
  });
});

describe('Aurora', () => {
  test('charges no I/O while loading', () => aurora.hasResourceProperties(CLUSTER, { StorageType: 'aurora-iopt1' }));

  test('has a parameter group of its own at each level, since attaching one later needs a restart', () => {
    aurora.hasResourceProperties(CLUSTER, {
      DBClusterParameterGroupName: { Ref: Match.stringLikeRegexp('^DatabaseParameters') },
    });
    aurora.allResourcesProperties(INSTANCE, {
      DBParameterGroupName: { Ref: Match.stringLikeRegexp('^DatabaseInstanceParameters') },
    });
  });

  test('follows the settings of storage, readers, backups and protection', () => {
    const template = database({
      target: {
        readers: 2,
        storage: 'standard',
        backupDays: 35,
        deletionProtection: false,
        version: '16.9',
        database: 'shop',
        enhancedMonitoringSeconds: 0,
      },
    });
    template.resourceCountIs(INSTANCE, 3);
    template.allResourcesProperties(INSTANCE, {
      DBInstanceClass: 'db.r7g.2xlarge',
      MonitoringInterval: Match.absent(),
    });
    template.hasResourceProperties(CLUSTER, {
      BackupRetentionPeriod: 35,
      DeletionProtection: false,
      EngineVersion: '16.9',
      DatabaseName: 'shop',
      StorageType: 'aurora',
    });
  });

  test('can be serverless, within the capacity of the settings', () => {
    const template = database({
      target: { instanceClass: 'db.serverless', serverless: { minCapacity: 4, maxCapacity: 64 }, readers: 1 },
    });
    template.hasResourceProperties(CLUSTER, { ServerlessV2ScalingConfiguration: { MinCapacity: 4, MaxCapacity: 64 } });
    template.allResourcesProperties(INSTANCE, { DBInstanceClass: 'db.serverless' });
  });
});

describe('RDS for PostgreSQL', () => {
  test('has gp3 with what that gives by itself, in one zone', () => {
    rds.hasResourceProperties(INSTANCE, {
      Engine: 'postgres',
      StorageType: 'gp3',
      AllocatedStorage: '500',
      Iops: Match.absent(),
      MultiAZ: false,
      DeleteAutomatedBackups: false,
    });
    rds.resourceCountIs('AWS::RDS::DBClusterParameterGroup', 0);
  });

  test('has a standby, io2 and replicas where the settings say so', () => {
    const template = database({
      target: {
        engine: 'postgres',
        instanceClass: 'db.m7g.4xlarge',
        multiAz: true,
        readers: 1,
        storage: { type: 'io2', sizeGiB: 1_000, iops: 20_000, maxSizeGiB: 2_000 },
      },
    });
    template.hasResourceProperties(INSTANCE, {
      MultiAZ: true,
      StorageType: 'io2',
      Iops: 20_000,
      MaxAllocatedStorage: 2_000,
      DBInstanceClass: 'db.m7g.4xlarge',
    });
    template.hasResourceProperties(INSTANCE, {
      SourceDBInstanceIdentifier: Match.anyValue(),
      KmsKeyId: Match.absent(),
    });
  });
});

test('a key of the settings is used instead of a new one', () => {
  const encryptionKeyArn = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  const template = database({ target: { encryptionKeyArn } });
  template.resourceCountIs('AWS::KMS::Key', 0);
  template.hasResourceProperties(CLUSTER, { KmsKeyId: encryptionKeyArn });
});

test('advanced Database Insights keep 15 months, which that mode demands', () => {
  database({ target: { insights: 'advanced' } }).hasResourceProperties(CLUSTER, {
    DatabaseInsightsMode: 'advanced',
    PerformanceInsightsRetentionPeriod: 465,
  });
});

test('a copy in another Region is made each day, outside the window of the backups', () => {
  const vaultArn = 'arn:aws:backup:eu-west-1:123456789012:backup-vault:ibex';
  const template = database({ target: { backupCopy: { vaultArn, days: 60 } } });
  template.hasResourceProperties('AWS::Backup::BackupPlan', {
    BackupPlan: {
      BackupPlanRule: [
        Match.objectLike({
          ScheduleExpression: 'cron(0 5 * * ? *)',
          Lifecycle: { DeleteAfterDays: 3 },
          CopyActions: [{ DestinationBackupVaultArn: vaultArn, Lifecycle: { DeleteAfterDays: 60 } }],
        }),
      ],
    },
  });
  template.hasResourceProperties('AWS::Backup::BackupSelection', {
    BackupSelection: { Resources: [{ 'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp(':rds:')])] }] },
  });
});
