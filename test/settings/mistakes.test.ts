import { leastSettings } from '../helpers/app';
import { RECORD } from '../helpers/aws-addresses';
import { mistakesOf, withValue, type Path } from '../helpers/settings';

describe('one mistake is named with its path, its value and what would be right', () => {
  test.each<[Path, unknown, string, string]>([
    [
      ['name'],
      'Shop',
      'lower-case letters',
      'a stack name that CloudFormation takes and another command spells otherwise',
    ],
    [['name'], 'a'.repeat(31), '1 to 30', 'runbook names that Systems Manager refuses after the stack is half made'],
    [['name'], 'shop-', 'ending without a dash', 'names with two dashes, of which one is lost in tags and searches'],
    [['name'], 'amazon-shop', 'reserved', 'documents whose names AWS keeps for itself'],
    [
      ['source', 'version'],
      9,
      'whole number from 10 to 17',
      'a migration that begins from a server which Bucardo cannot feed from',
    ],
    [
      ['source', 'version'],
      '11',
      'whole number from 10 to 17',
      'a version that compares as a text, where 9 is newer than 11',
    ],
    [['source', 'reach'], 'vpn', '"public" or "private"', 'a host that looks for the source in the wrong network'],
    [['source', 'port'], 70000, '1 to 65535', 'a deployment that ends with an egress rule which EC2 refuses'],
    [
      ['source', 'sslmode'],
      'prefer',
      '"disable" or "require" or "verify-ca" or "verify-full"',
      'passwords that go over the internet in clear when TLS fails',
    ],
    [['source', 'secretArn'], 'my-secret', 'arn:aws:secretsmanager', 'a role whose right to the secret names nothing'],
    [
      ['source', 'fork'],
      { secretArn: 'my-secret' },
      'arn:aws:secretsmanager',
      'a role whose right to the secret of the fork names nothing',
    ],
    [
      ['source', 'fork'],
      { cidrs: ['10.0.0.1'] },
      'must be an IPv4 network',
      'a way out to the fork that is not opened',
    ],
    [
      ['source', 'fork'],
      { host: 'x' },
      'no such setting',
      "an address in the settings that is never used, while the secret's is",
    ],
    [['target', 'engine'], 'mysql', '"aurora-postgresql"', 'a target that nothing can be restored into'],
    [['source', 'version'], 9.7, 'whole number from 10 to 17', 'a major version that never was'],
    [['source', 'certificates'], 'mine', '"public" or "rds"', 'a TLS check against authorities that are not there'],
    [['target', 'version'], '17', 'major.minor', 'a minor version that AWS chooses anew at each deployment'],
    [
      ['target', 'version'],
      '14.3',
      '15 to 18',
      'a target that cannot grant session_replication_role, or soon out of support',
    ],
    [
      ['target', 'instanceClass'],
      'db.m6i.large',
      'no m classes',
      'a cluster that Aurora refuses after the network was made',
    ],
    [['target', 'instanceClass'], 'r7g.large', 'db.r7g.2xlarge', 'a class that RDS does not know without its prefix'],
    [['target', 'readers'], 16, '0 to 15', 'a cluster that stops at fifteen readers, half deployed'],
    [['target', 'storage'], 'gp3', '"io-optimized" or "standard"', 'Aurora with a storage type that only RDS has'],
    [['target', 'database'], '1app', 'must be a letter', 'a database name that RDS refuses after minutes'],
    [['target', 'deletionProtection'], 'yes', 'true or false', 'a protection that a text seems to turn on'],
    [['target', 'backupDays'], 36, '1 to 35 (days)', 'backups that are thought to be kept longer than AWS can'],
    [
      ['target', 'maintenanceWindow'],
      'sunday 3am',
      'sun:03:00-sun:04:00',
      'a restart of the target in the middle of the cutover',
    ],
    [['target', 'backupWindow'], '25:00-26:00', '01:00-02:00', 'a backup window that AWS chooses at random'],
    [
      ['target', 'encryptionKeyArn'],
      'alias/mine',
      'arn:aws:kms',
      'a database that is encrypted by another key than the one meant, for good',
    ],
    [
      ['target', 'enhancedMonitoringSeconds'],
      20,
      '0 or 1 or 5 or 10 or 15 or 30 or 60',
      'a deployment that fails at the instance, after the cluster was made',
    ],
    [
      ['target', 'insights'],
      'full',
      '"standard" or "advanced"',
      'a cutover watched without the history of its statements',
    ],
    [['network', 'cidr'], '10.64.0.0/25', '/16 to /24', 'a network in which the subnets find no room'],
    [['network', 'cidr'], '10.64.0.1/16', '/16 to /24', 'a network that is another one than it looks'],
    [['network', 'availabilityZones'], ['eu-west-1a'], '2 to 3 items', 'a cluster that needs two zones and finds one'],
    [['network', 'natGateways'], 3, 'at most 2', 'gateways without a zone to stand in'],
    [['network', 'flowLogDays'], 31, '30', 'a log group that CloudWatch refuses'],
    [
      ['endpoint', 'scheme'],
      'public',
      '"internal" or "internet-facing"',
      'a database on the internet by a misunderstood word',
    ],
    [['endpoint', 'allowedCidrs'], [], '1 to 50 items', 'an endpoint that nobody can reach at the cutover'],
    [
      ['endpoint', 'allowedCidrs'],
      ['0.0.0.0/0'],
      'allowEveryAddress',
      'a database that the whole internet may try passwords on',
    ],
    [['endpoint', 'idleTimeoutSeconds'], 59, '60 to 6000 (seconds)', 'a listener that the load balancer refuses'],
    [
      ['endpoint', 'idleTimeoutSeconds'],
      6001,
      '60 to 6000 (seconds)',
      'idle connections of pools that are cut without a word',
    ],
    [['host', 'instanceType'], 'm5.large', 'm6i.4xlarge', 'a host whose limits towards its volume are not known here'],
    [['host', 'volume', 'sizeGiB'], 9, '10 to 65536 (GiB)', 'a data volume that the first log fills'],
    [['host', 'volume', 'iops'], 2999, '3000 to 80000', 'a volume that EC2 refuses'],
    [['host', 'volume', 'throughputMiBs'], 2001, '125 to 2000', 'a volume that EC2 refuses for its throughput'],
    [
      ['host', 'image'],
      { ssmParameter: 'debian' },
      'SSM parameter',
      'a deployment that fails at the look-up of the image',
    ],
    [['host', 'postgresMajor'], 12, '11 or 15', 'a bootstrap that looks for packages which nobody tried'],
    [
      ['host', 'ssmAgent'],
      { version: '3.3.1000.0' },
      '3.3.2746.0 or newer',
      'parameters that an old agent pastes into scripts',
    ],
    [['host', 'ssmAgent'], { sha256: 'abc' }, '64 hexadecimal digits', 'a package that is let through unchecked'],
    [['endpoint', 'readerPort'], 0, '1 to 65535', 'a second listener that is never made'],
    [['artifacts', 'dataDays'], 0, '1 to 3650 (days)', 'dumps that expire before they are restored'],
    [['artifacts', 'reportDays'], 4000, '1 to 3650 (days)', 'a life cycle that S3 takes for a mistake of units'],
    [
      ['agent', 'capture', 'lockTimeoutMs'],
      0,
      '50 to 60000 (milliseconds)',
      'a lock request that waits for ever, and every writer behind it',
    ],
    [['agent', 'capture', 'attempts'], 0, '1 to 10000', 'a capture that gives up before it tried'],
    [['agent', 'dump', 'jobs'], 65, '1 to 64 (connections)', 'a source without connections left for its applications'],
    [['agent', 'dump', 'compression'], 'gzip:10', '"gzip:1" to "gzip:9"', 'pg_dump that ends at its first option'],
    [['agent', 'dump', 'compression'], 'lz4:13', '"lz4:1" to "lz4:12"', 'the same with a level of another method'],
    [
      ['agent', 'dump', 'compression'],
      'zstd:0',
      '"zstd:1" to "zstd:22"',
      'a level that each version reads differently',
    ],
    [['agent', 'dump', 'compression'], 'bzip2', '"none", "gzip"', 'a method that pg_dump does not know'],
    [['agent', 'dump', 'compression'], 5, '"none", "gzip"', 'a level of no method'],
    [['agent', 'copy', 'method'], 'rsync', '"dump" or "stream" or "onetimecopy"', 'a migration without rows'],
    [['agent', 'copy', 'onetimecopyMegabytes'], 20_001, '1 to 20000', 'a snapshot that is held for an hour'],
    [['agent', 'restore', 'jobs'], 0, '1 to 64 (connections)', 'a restore that nobody works on'],
    [['agent', 'sync', 'checkSeconds'], 0.5, '1 to 300 (seconds)', 'Bucardo that looks without a pause, or never'],
    [['agent', 'sync', 'handoverKeys'], 0, '100 to 1000000000 (keys)', 'catch-up that never hands over'],
    [['agent', 'sync', 'takeBackKeys'], -1, '0 to 1000000000', 'a queue that goes to and fro between the appliers'],
    [['agent', 'sync', 'syncs'], 9, '1 to 8 (syncs)', 'more sessions of Bucardo than its login may have'],
    [['agent', 'brake', 'slowSessions'], -1, '0 to 10000 (sessions', 'a brake that is always on'],
    [
      ['agent', 'brake', 'queueMegabytes'],
      0.5,
      '0 to 100000000',
      'triggers that are taken off at the first burst of writes',
    ],
    [['agent', 'brake', 'queueGrowthMegabytes'], -1, '0 to 100000000', 'rows that always move at half speed'],
    [['agent', 'verify', 'chunkRows'], 1, '100 to 10000000 (rows)', 'a comparison with a statement for each row'],
    [['agent', 'verify', 'jobs'], 0, '1 to 64', 'a comparison that compares nothing and finds no difference'],
    [['agent', 'verify', 'maxRowsPerSecond'], -1, '0 to 1000000000 (rows a second', 'a limit that is none'],
    [
      ['agent', 'verify', 'dirtyKeysPerSecond'],
      -1,
      '0 to 1000000 (keys a second',
      'keys that are never compared again before the cutover',
    ],
    [['agent', 'verify', 'sequentialCheck'], 'sometimes', '"once"', 'a corrupt index that is never looked past'],
    [['agent', 'verify', 'settleSeconds'], 0, '1 to 3600 (seconds)', 'rows in flight that are reported as different'],
    [['agent', 'plans', 'worseFactor'], 1, '2 to 1000 (times)', 'noise that counts as worse'],
    [['agent', 'plans', 'file'], 'statements.json', 'an absolute path', 'a file that is looked for elsewhere'],
    [['agent', 'ready', 'approvals'], 11, '0 to 10 (people)', 'more approvers than a runbook can ask'],
    [['agent', 'ready', 'lagSeconds'], 0, '1 to 86400 (seconds)', 'a gate that nothing can pass'],
    [
      ['agent', 'ready', 'sequencePercent'],
      101,
      '1 to 100 (per cent)',
      'a sequence that ends on the first day at the target',
    ],
    [['agent', 'ready', 'health', 'timeoutSeconds'], 0, '1 to 600 (seconds)', 'a probe that fails before it is asked'],
    [
      ['agent', 'ready', 'health', 'target'],
      'SELECT 1',
      'a list of 0 to 100 items',
      'one probe that is taken for eight, a letter each',
    ],
    [['agent', 'cutover', 'budgetSeconds'], 0, '1 to 3600 (seconds)', 'a pause that ends before it began'],
    [['agent', 'cutover', 'sequenceMargin'], -1, '0 to 1000000000', 'keys that the source has given out already'],
    [['agent', 'cutover', 'compareAtFreeze'], 1, 'true or false', 'a comparison that somebody believes was made'],
    [['agent', 'cutover', 'switches'], { kind: 'pooler' }, 'list of 0 to 10 items', 'a cutover that moves nobody'],
  ])('%j = %j, must be %s: else %s', (path, value, right) => {
    const mistakes = mistakesOf(withValue(path, value));
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toContain(`${path.join('.')}`);
    expect(mistakes[0]).toContain(right);
    if (typeof value !== 'object') expect(mistakes[0]).toContain(` is ${JSON.stringify(value)};`);
  });

  test.each<[Path, unknown, string, string]>([
    [['agent', 'cutover'], { switches: [{ kind: 'ssh' }] }, 'agent.cutover.switches[0].kind', '"command" or'],
    [
      ['agent', 'cutover'],
      { switches: [{ kind: 'lambda', function: 'a b', timeoutSeconds: 9 }] },
      'agent.cutover.switches[0].function',
      'name of a function',
    ],
    [
      ['agent', 'cutover'],
      { switches: [{ kind: 'automation', document: 'rollout', timeoutSeconds: 0 }] },
      'agent.cutover.switches[0].timeoutSeconds',
      '1 to 600 (seconds)',
    ],
    [
      ['agent', 'cutover'],
      {
        switches: [
          {
            kind: 'nlb',
            listenerArn: 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/1/2',
            sourceGroupArn: 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/old/1',
            targetGroupArn: 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/new/2',
          },
        ],
      },
      'agent.cutover.switches[0].listenerArn',
      'listener/net/',
    ],
    [
      ['agent', 'cutover'],
      {
        switches: [{ ...RECORD, budgetSeconds: 0 }],
      },
      'agent.cutover.switches[0].budgetSeconds',
      '1 to 300 (seconds)',
    ],
    [['source', 'cidrs'], ['10.0.0.1/8'], 'source.cidrs[0]', 'IPv4 network'],
    [['endpoint', 'allowedCidrs'], ['10.0.0.0/8', 'x'], 'endpoint.allowedCidrs[1]', 'IPv4 network'],
    [['network', 'availabilityZones'], ['a', 'eu-west-1a'], 'network.availabilityZones[0]', 'availability zone'],
    [['host', 'image'], { amiIds: { 'eu-west-1': 'debian' } }, 'host.image.amiIds.eu-west-1', 'ami-'],
    [['host', 'image'], { amiIds: { Ireland: 'ami-0123456789abcdef0' } }, 'host.image.amiIds (the name)', 'Region'],
    [['host', 'node'], { url: 'http://x/node.tar.xz', sha256: 'a'.repeat(64) }, 'host.node.url', 'https'],
    [['host', 'node'], { url: 'https://x/node.tar.xz', sha256: 'a' }, 'host.node.sha256', '64 hexadecimal'],
    [['agent', 'excludeSchemas'], ['pg_catalog'], 'agent.excludeSchemas[0]', 'not beginning with "pg_"'],
    [['agent', 'applicationLogins'], { app: 'x' }, 'agent.applicationLogins.app', 'arn:aws:secretsmanager'],
    [['notifications', 'emails'], ['ops'], 'notifications.emails[0]', 'e-mail address'],
    [['notifications', 'approvers'], ['ops'], 'notifications.approvers[0]', 'arn:aws:iam'],
    [['notifications', 'thresholds'], { DatabaseCpu: -1 }, 'notifications.thresholds.DatabaseCpu', 'above 0'],
    [['network', 'interfaceEndpoints'], ['ec2'], 'network.interfaceEndpoints[0]', '"secretsmanager"'],
    [['target', 'backupCopy'], { vaultArn: 'vault' }, 'target.backupCopy.vaultArn', 'arn:aws:backup'],
    [
      ['endpoint', 'privateName'],
      { hostedZoneId: 'zone', zoneName: 'shop.internal', recordName: 'db' },
      'endpoint.privateName.hostedZoneId',
      'hosted zone',
    ],
    [['tags'], { 'aws:x': 'y' }, 'tags (the name)', 'not beginning with "aws:"'],
    [['tags'], { x: 'y'.repeat(257) }, 'tags.x', '256'],
  ])('%j = %j, at %s', (path, value, at, right) => {
    const mistakes = mistakesOf(withValue(path, value));
    expect(mistakes).toHaveLength(1);
    expect(mistakes[0]).toContain(`${at} is `);
    expect(mistakes[0]).toContain(right);
  });

  test('a field that is missing', () => {
    const { source: _, ...rest } = leastSettings;
    expect(mistakesOf(rest)).toEqual(['  source is missing; must be an object']);
  });

  test('a field that is misspelt', () => {
    expect(mistakesOf(withValue(['target', 'backupDay'], 3))).toEqual([
      expect.stringContaining('target.backupDay is 3; no such setting; known here: engine, version'),
    ]);
  });
});
