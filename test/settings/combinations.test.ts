import { resolveSettings } from '../../lib/settings';
import { leastSettings } from '../helpers/app';
import { mistakesOf, withValue } from '../helpers/settings';

const target = (value: unknown): string[] => mistakesOf({ ...leastSettings, target: value });
const rds = (storage: unknown): string[] => target({ engine: 'postgres', storage });

describe('a source that the host program cannot migrate yet', () => {
  const source = (version: number, assessOnly?: boolean): string[] =>
    mistakesOf({
      ...leastSettings,
      source: { version, reach: 'public', cidrs: 'anywhere', ...(assessOnly !== undefined && { assessOnly }) },
    });

  test('is allowed when the settings say that it is only assessed', () => expect(source(9.3, true)).toEqual([]));

  test('is refused when they do not', () => {
    expect(source(9.3)).toEqual([
      '  source.assessOnly is false; must be true for PostgreSQL 9.3: the host program cannot migrate it yet, and a plan that counts on it fails on the day',
    ]);
  });

  test('is not claimed of one that can be migrated', () => {
    expect(source(11, true)).toEqual(['  source.assessOnly is true; must be false: this source can be migrated']);
  });
});

describe('a watch that rolls back by itself', () => {
  const agent = (watch: object, wayBack = 'armed'): string[] =>
    mistakesOf({ ...leastSettings, agent: { watch: { onBad: 'rollback', ...watch }, cutover: { wayBack } } });

  test('is allowed with a way back', () => expect(agent({})).toEqual([]));

  test('is refused where there is none', () => {
    expect(agent({}, 'none')).toEqual([
      '  agent.watch.onBad is "rollback"; needs agent.cutover.wayBack "armed": there is no way back',
    ]);
  });

  test('is refused when it would be over before it had looked often enough', () => {
    expect(agent({ seconds: 50, badLooks: 6 })).toEqual([
      '  agent.watch.badLooks is 6; must be at most 5: a watch of 50 s has no more looks',
    ]);
  });
});

describe('the backlogs at which the appliers take turns', () => {
  const sync = (takeBackKeys: number): string[] =>
    mistakesOf({ ...leastSettings, agent: { sync: { handoverKeys: 1_000, takeBackKeys } } });

  test.each([0, 2_000])('may be apart, or the second none: %i', (keys) => expect(sync(keys)).toEqual([]));

  test('are refused where Bucardo would be given what is taken from it at once', () => {
    expect(sync(1_999)).toEqual([
      '  agent.sync.takeBackKeys is 1999; must be 0 for never, or at least 2000, twice agent.sync.handoverKeys: what is handed over would be taken back at once',
    ]);
  });
});

describe('a fork that is dumped', () => {
  const secretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf';
  const source = {
    version: 11,
    reach: 'public',
    cidrs: 'anywhere',
    port: 5433,
    sslmode: 'require',
    secretArn,
  } as const;

  test('is reached as the source is, but for what is said of it', () => {
    const { fork } = resolveSettings({ ...leastSettings, source: { ...source, fork: { port: 6432 } } }).source;
    expect(fork).toEqual({ cidrs: 'anywhere', port: 6432, sslmode: 'require', certificates: 'public' });
  });

  test('is not there unless the settings say so', () => {
    expect(resolveSettings({ ...leastSettings, source }).source).not.toHaveProperty('fork');
  });

  test('spares the source nothing where rows are streamed from it', () => {
    expect(
      mistakesOf({ ...leastSettings, source: { ...source, fork: {} }, agent: { copy: { method: 'stream' } } }),
    ).toEqual([expect.stringContaining('needs agent.copy.method "dump"')]);
  });

  test('opens no way to every address where the source is private', () => {
    const cidrs = ['192.168.7.0/24'];
    const forked = { version: 11, reach: 'private', cidrs, fork: { cidrs: 'anywhere' } };
    expect(mistakesOf({ ...leastSettings, source: forked })).toEqual([
      expect.stringContaining('source.fork.cidrs is "anywhere"; must name networks'),
    ]);
  });

  test('is not the source itself', () => {
    expect(mistakesOf({ ...leastSettings, source: { ...source, fork: { secretArn } } })).toEqual([
      expect.stringMatching(/^ {2}source\.fork\.secretArn is .* must not be source\.secretArn/),
    ]);
  });
});

describe('the engine', () => {
  test('Aurora has no m classes, RDS for PostgreSQL has', () => {
    expect(target({ instanceClass: 'db.m7g.large' })).toEqual([expect.stringContaining('it has no m classes')]);
    expect(target({ engine: 'postgres', instanceClass: 'db.m7g.large' })).toEqual([]);
  });

  test.each([
    ['db.r7g.24xlarge', 'a size that its family has not'],
    ['db.r6gd.large', 'a size that Aurora has not of a family with disks'],
    ['db.x2iedn.xlarge', 'a family that only RDS has'],
    ['db.toString.large', 'no family'],
  ])('Aurora has no %s: %s would fail the deployment after half an hour', (instanceClass) => {
    expect(target({ instanceClass })).toEqual([expect.stringContaining(`target.instanceClass is "${instanceClass}"`)]);
  });

  test('RDS for PostgreSQL has every size of a family, and no other', () => {
    const of = (instanceClass: string): string[] => target({ engine: 'postgres', instanceClass });
    expect(of('db.x2iedn.xlarge')).toEqual([]);
    expect(of('db.m7g.48xlarge')).toEqual([expect.stringContaining('a class that RDS for PostgreSQL offers')]);
    expect(of('db.t4g.medium')).toEqual([]);
  });

  test('RDS for PostgreSQL has no serverless', () => {
    expect(target({ engine: 'postgres', instanceClass: 'db.serverless' })).toEqual([
      expect.stringContaining(
        'target.instanceClass is "db.serverless"; must be a class that RDS for PostgreSQL offers',
      ),
    ]);
  });

  test.each([
    ['multiAz', { multiAz: true }],
    ['storage of RDS', { storage: { sizeGiB: 500 } }],
  ])('Aurora has no %s', (_what, settings) => expect(target(settings)).toHaveLength(1));

  test('only RDS gets its defaults of storage', () => {
    expect(resolveSettings({ ...leastSettings, target: { engine: 'postgres' } }).target).toMatchObject({
      multiAz: false,
      storage: { type: 'gp3', sizeGiB: 500 },
    });
  });
});

describe('serverless', () => {
  test('needs its capacity', () => {
    expect(target({ instanceClass: 'db.serverless' })).toEqual([
      expect.stringContaining('target.serverless is missing; must give the capacity'),
    ]);
  });

  test('has no capacity without its class', () => {
    expect(target({ serverless: { minCapacity: 1, maxCapacity: 8 } })).toEqual([
      expect.stringContaining('must not be given with any target.instanceClass but "db.serverless"'),
    ]);
  });

  test.each([
    [{ minCapacity: 16, maxCapacity: 8 }, 'target.serverless.minCapacity is 16; must be at most'],
    [{ minCapacity: 1.3, maxCapacity: 8 }, 'in steps of a half'],
    [{ minCapacity: 1, maxCapacity: 4 }, 'below 8 parallel index builds run out of memory'],
  ])('%j is none', (serverless, text) => {
    expect(target({ instanceClass: 'db.serverless', serverless })).toEqual([expect.stringContaining(text)]);
  });
});

describe('the volume of RDS', () => {
  test.each([
    [{ sizeGiB: 300, iops: 12_000 }, 'target.storage.sizeGiB is 300; must be 400 or more'],
    [{ sizeGiB: 500, iops: 3_000 }, 'target.storage.iops is 3000; must be from 12000 to 64000'],
    [
      { sizeGiB: 500, iops: 12_000, throughputMiBs: 3_500 },
      'target.storage.throughputMiBs is 3500; must be at most 3000',
    ],
    [{ type: 'io2', sizeGiB: 100 }, 'target.storage.iops is missing; must be given for io2, at most 100000'],
    [
      { type: 'io2', sizeGiB: 100, iops: 200_000 },
      'target.storage.iops is 200000; must be given for io2, at most 100000',
    ],
    [{ type: 'io2', iops: 2_000, throughputMiBs: 500 }, 'target.storage.throughputMiBs is 500; must not be given'],
    [{ sizeGiB: 500, maxSizeGiB: 520 }, 'target.storage.maxSizeGiB is 520; must be at least 550'],
  ])('cannot be %j', (storage, text) => expect(rds(storage)).toEqual([expect.stringContaining(text)]));

  test.each([
    [{ sizeGiB: 100 }],
    [{ sizeGiB: 1_000, iops: 16_000, throughputMiBs: 1_000, maxSizeGiB: 2_000 }],
    [{ type: 'io2', sizeGiB: 1_000, iops: 20_000 }],
  ])('can be %j', (storage) => expect(rds(storage)).toEqual([]));
});

describe('windows', () => {
  test.each([
    ['02:30-03:30', 'sun:03:00-sun:04:00', 'must not overlap target.maintenanceWindow'],
    ['23:30-00:30', 'sun:00:00-sun:01:00', 'must not overlap target.maintenanceWindow'],
    ['23:30-00:30', 'sun:23:45-mon:00:15', 'must not overlap target.maintenanceWindow'],
    ['01:00-01:20', 'sun:03:00-sun:04:00', 'target.backupWindow is "01:00-01:20"; must be 30 minutes or longer'],
    ['01:00-02:00', 'sun:03:00-sun:03:15', 'target.maintenanceWindow is "sun:03:00-sun:03:15"; must be 30 minutes'],
  ])('%s beside %s', (backupWindow, maintenanceWindow, text) => {
    expect(target({ backupWindow, maintenanceWindow })).toEqual([expect.stringContaining(text)]);
  });

  test('that only touch are right', () => {
    expect(target({ backupWindow: '02:00-03:00', maintenanceWindow: 'sun:03:00-sun:04:00' })).toEqual([]);
  });
});

describe('a network that exists', () => {
  const zones = ['eu-west-1a', 'eu-west-1b'];
  const existing = {
    vpcId: 'vpc-0123456789abcdef0',
    hostSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
    databaseSubnetIds: ['subnet-0123456789abcdef2', 'subnet-0123456789abcdef3'],
  };
  const network = (value: unknown, other = {}): string[] =>
    mistakesOf({ ...leastSettings, ...other, network: { httpEgress: 'anywhere', ...(value as object) } });

  test('is named by ids, with its zones', () => expect(network({ existing, availabilityZones: zones })).toEqual([]));

  test('needs its zones', () => {
    expect(network({ existing })).toEqual([expect.stringContaining('network.availabilityZones is missing; must name')]);
  });

  test.each([
    [['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1', 'subnet-0123456789abcdef4']],
    [['subnet-0123456789abcdef0', 'subnet-0123456789abcdef0']],
  ])('needs one subnet in each zone, not %j', (hostSubnetIds) => {
    expect(network({ existing: { ...existing, hostSubnetIds }, availabilityZones: zones })).toEqual([
      expect.stringContaining('must be 2 different subnets, one in each of network.availabilityZones'),
    ]);
  });

  test('needs public subnets for an endpoint that is internet-facing', () => {
    const endpoint = { scheme: 'internet-facing', allowedCidrs: ['203.0.113.0/24'] };
    expect(network({ existing, availabilityZones: zones }, { endpoint })).toEqual([
      expect.stringContaining('network.existing.publicSubnetIds is []; must name subnets with an internet gateway'),
    ]);
  });

  test('may hold the source itself', () => {
    const source = { version: 13, reach: 'private', cidrs: ['10.64.1.0/24'] };
    expect(network({ existing, availabilityZones: zones }, { source })).toEqual([]);
  });
});

describe('ways out to every address', () => {
  const source = (value: object): string[] => mistakesOf({ ...leastSettings, source: { version: 11, ...value } });
  const network = (value: object): string[] => mistakesOf({ ...leastSettings, network: value });

  test('are opened by a word only: a firewall with a hole that nobody asked for is found by an auditor, or a thief', () => {
    expect(source({ reach: 'public' })).toEqual([
      expect.stringContaining('source.cidrs is missing; must be "anywhere" or a list of the source\'s networks'),
    ]);
    expect(network({})).toEqual([
      expect.stringContaining('network.httpEgress is missing; must be "anywhere" or an object with cidrs'),
    ]);
  });

  test.each([[[]], [['0.0.0.0/0']]])('are no list of networks: %j', (cidrs) => {
    expect(source({ reach: 'public', cidrs })).toEqual([expect.stringContaining('source.cidrs')]);
    expect(network({ httpEgress: { cidrs, prefixListIds: ['pl-6da54004'] } })).toEqual(
      expect.arrayContaining([expect.stringContaining('network.httpEgress.cidrs')]),
    );
  });

  test('a private source has none: a stolen host would reach every database of the internet', () => {
    expect(source({ reach: 'private', cidrs: 'anywhere' })).toEqual([
      '  source.cidrs is "anywhere"; must name the networks of a source with reach "private": a stolen host would have a way out to every database of the internet',
    ]);
  });

  describe('without one for HTTP', () => {
    const httpEgress = { cidrs: ['192.168.40.10/32'], prefixListIds: ['pl-6da54004'] };
    const called = [
      'ssm',
      'ssmmessages',
      'ec2messages',
      'secretsmanager',
      'logs',
      'monitoring',
      'elasticloadbalancing',
      'rds',
    ];

    test('AWS is reached inside the VPC, or the host neither boots nor obeys a runbook', () => {
      expect(network({ httpEgress, interfaceEndpoints: called })).toEqual([]);
      expect(network({ httpEgress, interfaceEndpoints: called.slice(0, -1) })).toEqual([
        expect.stringContaining('must also have rds: with network.httpEgress limited'),
      ]);
    });

    test('an existing VPC may have its own endpoints', () => {
      const existing = {
        vpcId: 'vpc-0123456789abcdef0',
        hostSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
        databaseSubnetIds: ['subnet-0123456789abcdef2', 'subnet-0123456789abcdef3'],
      };
      const within = { existing, cidr: '10.20.0.0/16', availabilityZones: ['eu-west-1a', 'eu-west-1b'] };
      const reached = { ...httpEgress, cidrs: ['10.20.0.0/16'] };
      expect(network({ ...within, httpEgress: reached })).toEqual([]);
      expect(network({ ...within, httpEgress })).toEqual([expect.stringContaining('must also have ssm, ssmmessages')]);
    });

    test.each([
      [{ ...httpEgress, prefixListIds: [] }, 'network.httpEgress.prefixListIds is []; must be a list of 1 to 5 items'],
      [{ ...httpEgress, prefixListIds: ['s3'] }, 'network.httpEgress.prefixListIds[0] is "s3"; must be the id'],
      ['nowhere', 'network.httpEgress is "nowhere"; must be "anywhere" or an object'],
    ])('%j is none, since the program comes from S3', (given, text) => {
      expect(network({ httpEgress: given, interfaceEndpoints: called })).toEqual([expect.stringContaining(text)]);
    });
  });
});

test.each([
  [['ssm'], 'must have all of ssm, ssmmessages and ec2messages or none'],
  [['sns', 'sns'], 'must name each service once'],
])('endpoints of services cannot be %j', (interfaceEndpoints, text) => {
  expect(mistakesOf(withValue(['network', 'interfaceEndpoints'], interfaceEndpoints))).toEqual([
    expect.stringContaining(text),
  ]);
});

describe('the endpoint', () => {
  const endpoint = (value: object, readers = 1): string[] =>
    mistakesOf({ ...leastSettings, target: { readers }, endpoint: { ...leastSettings.endpoint, ...value } });

  test('has a second listener for readers that exist', () => {
    expect(endpoint({ readerPort: 5433 })).toEqual([]);
    expect(endpoint({ readerPort: 5433 }, 0)).toEqual([expect.stringContaining('needs target.readers of 1 or more')]);
    expect(endpoint({ readerPort: 5432 })).toEqual([expect.stringContaining('must differ from endpoint.port')]);
  });

  test('leads to a source at private addresses, inside only, and checks the target on a port of its own', () => {
    const source = { addresses: ['10.200.0.5'], otherPort: 6432 };
    expect(endpoint({ source })).toEqual([]);
    expect(endpoint({ source: { ...source, addresses: ['203.0.113.5'] } })).toEqual([
      expect.stringContaining('endpoint.source.addresses[0] is "203.0.113.5"; must be a private IPv4 address'),
    ]);
    expect(endpoint({ source: { ...source, otherPort: 5432 } })).toEqual([
      expect.stringContaining('endpoint.source.otherPort is 5432; must differ from endpoint.port'),
    ]);
    expect(endpoint({ source, scheme: 'internet-facing', allowedCidrs: ['203.0.113.0/24'] })).toEqual([
      expect.stringContaining('needs endpoint.scheme "internal"'),
    ]);
    const allowedCidrs = Array.from({ length: 31 }, (_, n) => `10.${n}.0.0/16`);
    expect(endpoint({ source, allowedCidrs })).toEqual([expect.stringContaining('must be at most 30 networks')]);
  });

  test('has a private name only inside', () => {
    const privateName = { hostedZoneId: 'Z0123456789ABCDEFGHIJ', zoneName: 'shop.internal', recordName: 'db' };
    expect(endpoint({ privateName })).toEqual([]);
    expect(endpoint({ privateName, scheme: 'internet-facing', allowedCidrs: ['203.0.113.0/24'] })).toEqual([
      expect.stringContaining('endpoint.privateName is "db"; needs endpoint.scheme "internal"'),
    ]);
  });
});

test('more approvals than there are approvers are refused', () => {
  const approvers = ['arn:aws:iam::123456789012:user/anna'];
  expect(mistakesOf({ ...leastSettings, agent: { ready: { approvals: 2 } }, notifications: { approvers } })).toEqual([
    '  agent.ready.approvals is 2; must be at most 1: notifications.approvers names no more who may approve',
  ]);
});
