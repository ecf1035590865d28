import { resolveSettings, type MigrationSettings } from '../lib/settings';
import { settings as example } from '../migrations/heroku-to-aurora';
import { leastSettings } from './helpers/app';
import { mistakesOf, withValue, type Path } from './helpers/settings';

describe('settings that are right', () => {
  test('get every default', () => {
    expect(resolveSettings(leastSettings)).toMatchObject({
      name: 'shop',
      source: { port: 5432, sslmode: 'verify-full', cidrs: 'anywhere' },
      target: { engine: 'aurora-postgresql', version: '17.9', deletionProtection: true, backupDays: 7 },
      network: { cidr: '10.64.0.0/16', natGateways: 1 },
      endpoint: { idleTimeoutSeconds: 6000, port: 5432, allowEveryAddress: false },
      host: {
        instanceType: 'm6i.4xlarge',
        volume: { sizeGiB: 500, iops: 6000, throughputMiBs: 500 },
        postgresMajor: 11,
        terminationProtection: true,
      },
      agent: { cutover: { budgetSeconds: 60, switches: [] }, applicationLogins: {} },
      notifications: { emails: [], approvers: [] },
      tags: {},
    });
  });

  test('keep what is given beside defaults', () => {
    const { host } = resolveSettings({ ...leastSettings, host: { volume: { sizeGiB: 1500 } } });
    expect(host.volume).toEqual({ sizeGiB: 1500, iops: 6000, throughputMiBs: 500 });
  });

  test('leave nothing of the worked example to a default, but where it says so', () => {
    const complete = resolveSettings(example);
    expect(Object.keys(example.target ?? {})).toEqual(Object.keys(complete.target));
    expect(Object.keys(example.endpoint)).toEqual(Object.keys(complete.endpoint));
    expect(example.agent).toEqual(complete.agent);
  });

  test.each<[string, Path, unknown]>([
    [
      'a command that moves the clients',
      ['agent', 'cutover'],
      { switches: [{ kind: 'command', command: ['/x'], at: ['switch', 'afterOpen'], timeoutSeconds: 5 }] },
    ],
    [
      'a document and a function that move the clients',
      ['agent', 'cutover'],
      {
        switches: [
          { kind: 'automation', document: 'rollout', roleArn: 'arn:aws:iam::123456789012:role/x', timeoutSeconds: 9 },
          { kind: 'lambda', function: 'rollout', timeoutSeconds: 9 },
        ],
      },
    ],
    ['image ids', ['host', 'image'], { amiIds: { 'eu-west-1': 'ami-0123456789abcdef0' } }],
    ['the newest SSM agent', ['host', 'ssmAgent'], { version: '3.10.0.0', sha256: 'a'.repeat(64) }],
    ['an IAM role as approver', ['notifications', 'approvers'], ['arn:aws:iam::123456789012:role/ops']],
    [
      'every address, said in words',
      ['endpoint'],
      { scheme: 'internet-facing', allowedCidrs: ['0.0.0.0/0'], allowEveryAddress: true },
    ],
    [
      'three zones with a gateway each',
      ['network'],
      { httpEgress: 'anywhere', availabilityZones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c'], natGateways: 3 },
    ],
  ])('may name %s', (_what, path, value) => {
    expect(mistakesOf(withValue(path, value))).toEqual([]);
  });
});

describe('one mistake is named with its path, its value and what would be right', () => {
  test.each<[Path, unknown, string]>([
    [['name'], 'Shop', 'lower-case letters'],
    [['name'], 'a'.repeat(31), '1 to 30'],
    [['name'], 'shop-', 'ending without a dash'],
    [['name'], 'amazon-shop', 'reserved'],
    [['source', 'version'], 9, 'whole number from 10 to 17'],
    [['source', 'version'], '11', 'whole number from 10 to 17'],
    [['source', 'reach'], 'vpn', '"public" or "private"'],
    [['source', 'port'], 70000, '1 to 65535'],
    [['source', 'sslmode'], 'prefer', '"disable" or "require" or "verify-ca" or "verify-full"'],
    [['source', 'secretArn'], 'my-secret', 'arn:aws:secretsmanager'],
    [['source', 'fork'], { secretArn: 'my-secret' }, 'arn:aws:secretsmanager'],
    [['source', 'fork'], { cidrs: ['10.0.0.1'] }, 'must be an IPv4 network'],
    [['source', 'fork'], { host: 'x' }, 'no such setting'],
    [['target', 'engine'], 'mysql', '"aurora-postgresql"'],
    [['source', 'version'], 9.7, 'whole number from 10 to 17'],
    [['source', 'certificates'], 'mine', '"public" or "rds"'],
    [['target', 'version'], '17', 'major.minor'],
    [['target', 'version'], '14.3', '15 to 18'],
    [['target', 'instanceClass'], 'db.m6i.large', 'no m classes'],
    [['target', 'instanceClass'], 'r7g.large', 'db.r7g.2xlarge'],
    [['target', 'readers'], 16, '0 to 15'],
    [['target', 'storage'], 'gp3', '"io-optimized" or "standard"'],
    [['target', 'database'], '1app', 'must be a letter'],
    [['target', 'deletionProtection'], 'yes', 'true or false'],
    [['target', 'backupDays'], 36, '1 to 35 (days)'],
    [['target', 'maintenanceWindow'], 'sunday 3am', 'sun:03:00-sun:04:00'],
    [['target', 'backupWindow'], '25:00-26:00', '01:00-02:00'],
    [['target', 'encryptionKeyArn'], 'alias/mine', 'arn:aws:kms'],
    [['target', 'enhancedMonitoringSeconds'], 20, '0 or 1 or 5 or 10 or 15 or 30 or 60'],
    [['target', 'insights'], 'full', '"standard" or "advanced"'],
    [['network', 'cidr'], '10.64.0.0/25', '/16 to /24'],
    [['network', 'cidr'], '10.64.0.1/16', '/16 to /24'],
    [['network', 'availabilityZones'], ['eu-west-1a'], '2 to 3 items'],
    [['network', 'natGateways'], 3, 'at most 2'],
    [['network', 'flowLogDays'], 31, '30'],
    [['endpoint', 'scheme'], 'public', '"internal" or "internet-facing"'],
    [['endpoint', 'allowedCidrs'], [], '1 to 50 items'],
    [['endpoint', 'allowedCidrs'], ['0.0.0.0/0'], 'allowEveryAddress'],
    [['endpoint', 'idleTimeoutSeconds'], 59, '60 to 6000 (seconds)'],
    [['endpoint', 'idleTimeoutSeconds'], 6001, '60 to 6000 (seconds)'],
    [['host', 'instanceType'], 'm5.large', 'm6i.4xlarge'],
    [['host', 'volume', 'sizeGiB'], 9, '10 to 65536 (GiB)'],
    [['host', 'volume', 'iops'], 2999, '3000 to 80000'],
    [['host', 'volume', 'throughputMiBs'], 2001, '125 to 2000'],
    [['host', 'image'], { ssmParameter: 'debian' }, 'SSM parameter'],
    [['host', 'postgresMajor'], 12, '11 or 15'],
    [['host', 'ssmAgent'], { version: '3.3.1000.0' }, '3.3.2746.0 or newer'],
    [['host', 'ssmAgent'], { sha256: 'abc' }, '64 hexadecimal digits'],
    [['endpoint', 'readerPort'], 0, '1 to 65535'],
    [['artifacts', 'dataDays'], 0, '1 to 3650 (days)'],
    [['artifacts', 'reportDays'], 4000, '1 to 3650 (days)'],
    [['agent', 'capture', 'lockTimeoutMs'], 0, '50 to 60000 (milliseconds)'],
    [['agent', 'capture', 'attempts'], 0, '1 to 10000'],
    [['agent', 'dump', 'jobs'], 65, '1 to 64 (connections)'],
    [['agent', 'dump', 'compression'], 10, '0 to 9'],
    [['agent', 'restore', 'jobs'], 0, '1 to 64 (connections)'],
    [['agent', 'sync', 'checkSeconds'], 0.5, '1 to 300 (seconds)'],
    [['agent', 'sync', 'handoverKeys'], -1, '0 to 1000000000'],
    [['agent', 'sync', 'takeBackKeys'], -1, '0 to 1000000000'],
    [['agent', 'sync', 'syncs'], 9, '1 to 8 (syncs)'],
    [['agent', 'brake', 'slowSessions'], -1, '0 to 10000 (sessions'],
    [['agent', 'brake', 'queueMegabytes'], 0.5, '0 to 100000000'],
    [['agent', 'verify', 'chunkRows'], 1, '100 to 10000000 (rows)'],
    [['agent', 'verify', 'jobs'], 0, '1 to 64'],
    [['agent', 'verify', 'maxRowsPerSecond'], -1, '0 to 1000000000 (rows a second'],
    [['agent', 'verify', 'dirtyKeysPerSecond'], -1, '0 to 1000000 (keys a second'],
    [['agent', 'verify', 'sequentialCheck'], 'sometimes', '"once"'],
    [['agent', 'verify', 'settleSeconds'], 0, '1 to 3600 (seconds)'],
    [['agent', 'ready', 'lagSeconds'], 0, '1 to 86400 (seconds)'],
    [['agent', 'ready', 'sequencePercent'], 101, '1 to 100 (per cent)'],
    [['agent', 'ready', 'health', 'timeoutSeconds'], 0, '1 to 600 (seconds)'],
    [['agent', 'ready', 'health', 'target'], 'SELECT 1', 'a list of 0 to 100 items'],
    [['agent', 'cutover', 'budgetSeconds'], 0, '1 to 3600 (seconds)'],
    [['agent', 'cutover', 'sequenceMargin'], -1, '0 to 1000000000'],
    [['agent', 'cutover', 'compareAtFreeze'], 1, 'true or false'],
    [['agent', 'cutover', 'switches'], { kind: 'pooler' }, 'list of 0 to 10 items'],
  ])('%j = %j', (path, value, right) => {
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

describe('combinations that cannot be', () => {
  test('a target older than the source', () => {
    const settings = {
      ...leastSettings,
      source: { version: 17, reach: 'public', cidrs: 'anywhere' },
      target: { version: '16.9' },
    };
    expect(mistakesOf(settings)).toEqual([
      '  target.version is "16.9"; must not be older than the source, which is 17',
    ]);
  });

  test.each(['10.64.0.0/24', '10.0.0.0/8'])('a VPC that overlaps the private source, %s', (cidr) => {
    const settings = { ...leastSettings, source: { version: 11, reach: 'private', cidrs: [cidr] } };
    expect(mistakesOf(settings)).toEqual([expect.stringContaining('network.cidr is "10.64.0.0/16"; must not overlap')]);
  });

  test('more I/O than gp3 gives for the size', () => {
    expect(mistakesOf(withValue(['host', 'volume'], { sizeGiB: 10, iops: 6000 }))).toEqual([
      expect.stringContaining('host.volume.iops is 6000; must be at most 5000: gp3'),
    ]);
  });

  test('more throughput than gp3 gives for the I/O', () => {
    expect(
      mistakesOf(withValue(['host'], { instanceType: 'm6i.8xlarge', volume: { iops: 3000, throughputMiBs: 751 } })),
    ).toEqual([expect.stringContaining('host.volume.throughputMiBs is 751; must be at most 750: gp3')]);
  });

  test('a volume that is faster than the instance', () => {
    expect(mistakesOf(withValue(['host'], { instanceType: 'm6i.xlarge' }))).toEqual([
      expect.stringContaining('host.volume.throughputMiBs is 500; must be at most 149, what m6i.xlarge sustains'),
    ]);
  });
});

test('all mistakes are reported at once, in one error of exit status 2', () => {
  const settings = {
    name: 'Shop',
    source: { version: 17, reach: 'public', cidrs: 'anywhere' },
    target: { version: '16.9' },
    endpoint: { scheme: 'x', allowedCidrs: ['0.0.0.0/0'] },
    hots: {},
  } as unknown as MigrationSettings;
  expect(() => resolveSettings(settings)).toThrow(
    expect.objectContaining({ exitStatus: 2, message: expect.stringMatching(/^migration "Shop": 6 mistakes\n/) }),
  );
});

test.each([undefined, null, 'x', []])('%j is no migration', (settings) => {
  expect(mistakesOf(settings)).toEqual([expect.stringContaining('must be an object')]);
});
