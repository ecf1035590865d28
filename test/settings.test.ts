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
      agent: { cutover: { budgetSeconds: 30, switches: [] }, applicationLogins: {} },
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
    ['a dump that is not compressed', ['agent', 'dump', 'compression'], 'none'],
    ['a method with its own level', ['agent', 'dump', 'compression'], 'zstd'],
    ['a level of its method', ['agent', 'dump', 'compression'], 'zstd:22'],
    ["Bucardo's own copy", ['agent', 'copy'], { method: 'onetimecopy', onetimecopyMegabytes: 500 }],
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
