import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Database } from '../lib/database';
import { DATABASE_PARAMETERS } from '../lib/database-parameters';
import { resolved, testStack } from './helpers/app';

function database(settings: Parameters<typeof resolved>[0] = {}): Template {
  const stack = testStack();
  const vpc = new Vpc(stack, 'Vpc', {
    subnetConfiguration: [{ name: 'Database', subnetType: SubnetType.PRIVATE_ISOLATED }],
  });
  new Database(stack, 'Database', { vpc, settings: resolved(settings).target });
  return Template.fromStack(stack);
}

const standard = database();
const cluster = (properties: Record<string, unknown>, template = standard): void =>
  template.hasResourceProperties('AWS::RDS::DBCluster', properties);

test('the cluster is encrypted, protected, and leaves a snapshot', () => {
  cluster({ StorageEncrypted: true, DeletionProtection: true, CopyTagsToSnapshot: true, BackupRetentionPeriod: 7 });
  standard.hasResource('AWS::RDS::DBCluster', { DeletionPolicy: 'Snapshot', UpdateReplacePolicy: 'Snapshot' });
});

test('the version is exact, and never slips into paid extended support', () => {
  cluster({
    Engine: 'aurora-postgresql',
    EngineVersion: '17.9',
    EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
  });
});

test('RDS makes and keeps the master password; the template knows none', () => {
  cluster({ ManageMasterUserPassword: true, MasterUsername: 'ibex_master', MasterUserPassword: Match.absent() });
});

test('nothing restarts the writer by itself, and the internet does not see it', () => {
  standard.allResourcesProperties('AWS::RDS::DBInstance', {
    AutoMinorVersionUpgrade: false,
    PubliclyAccessible: false,
    DBInstanceClass: 'db.r7g.2xlarge',
  });
  cluster({ PreferredMaintenanceWindow: 'sun:03:00-sun:04:00' });
});

test('I/O is not charged while loading, and Database Insights is on in standard mode', () => {
  cluster({ StorageType: 'aurora-iopt1', DatabaseInsightsMode: 'standard', PerformanceInsightsEnabled: true });
});

test('the security group is open to nobody, in or out', () => {
  standard.hasResourceProperties('AWS::EC2::SecurityGroup', {
    SecurityGroupIngress: Match.absent(),
    SecurityGroupEgress: [Match.objectLike({ CidrIp: '255.255.255.255/32' })],
  });
});

describe('parameters', () => {
  test('are those of the table', () => {
    const parameters = Object.fromEntries(DATABASE_PARAMETERS.map(({ name, value }) => [name, value]));
    standard.hasResourceProperties('AWS::RDS::DBClusterParameterGroup', {
      Family: 'aurora-postgresql17',
      Parameters: parameters,
    });
    expect(parameters).toMatchObject({ 'rds.force_ssl': '1', synchronous_commit: 'on', tcp_keepalives_idle: '30' });
  });

  test.each(DATABASE_PARAMETERS)('$name has a reason', ({ reason }) => expect(reason).toMatch(/^[A-Z].{15,}\.$/));

  test.each(['fsync', 'session_replication_role', 'max_wal_size', 'full_page_writes'])('do not hold %s', (name) => {
    expect(DATABASE_PARAMETERS.map((parameter) => parameter.name)).not.toContain(name);
  });
});

test('readers, storage, backups and protection follow the settings', () => {
  const template = database({
    target: {
      readers: 2,
      storage: 'standard',
      backupDays: 35,
      deletionProtection: false,
      version: '16.9',
      database: 'shop',
    },
  });
  template.resourceCountIs('AWS::RDS::DBInstance', 3);
  cluster(
    { BackupRetentionPeriod: 35, DeletionProtection: false, EngineVersion: '16.9', DatabaseName: 'shop' },
    template,
  );
  cluster({ StorageType: 'aurora' }, template);
});
