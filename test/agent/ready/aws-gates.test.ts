import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig, AwsTarget } from '../../../assets/agent/config';
import { openAws } from '../../../assets/agent/ready/aws-account';
import { AWS_GATES } from '../../../assets/agent/ready/aws-gates';
import type { Answer, Look } from '../../../assets/agent/ready/gate';
import { AwsListener, LISTENER } from '../../helpers/aws-addresses';
import {
  json,
  refusal,
  startAws,
  xmlRefusal,
  type AwsAnswer,
  type AwsCall,
  type AwsServer,
} from '../../helpers/aws-calls';

const TARGET: AwsTarget = {
  region: 'eu-west-1',
  cluster: 'shop',
  instances: ['shop-1', 'shop-2'],
  alarmPrefixes: ['shop-'],
};
const OF_RDS: AwsTarget = { region: 'eu-west-1', instances: ['shop-1'], alarmPrefixes: ['shop-'] };

let aws: AwsServer;
let answers: Record<string, AwsAnswer | ((call: AwsCall) => AwsAnswer)>;
let stateDirectory: string;
beforeEach(async () => {
  answers = {};
  stateDirectory = mkdtempSync(join(tmpdir(), 'ibex-aws-'));
  aws = await startAws((call) => {
    const answer = answers[call.operation.replace(/.*\./, '')] ?? xmlRefusal('AccessDenied', 403);
    return typeof answer === 'function' ? answer(call) : answer;
  });
});
afterEach(async () => {
  await aws.close();
  rmSync(stateDirectory, { recursive: true });
});

async function ask(
  name: string,
  target: AwsTarget = TARGET,
  timeoutMs?: number,
  { freezing = false, snapshot = true } = {},
): Promise<Answer> {
  const ready = { snapshot, snapshotHours: 24 };
  const config = { aws: target, host: { stateDirectory }, ready } as unknown as AgentConfig;
  const gate = AWS_GATES.find((one) => one.name === name)!;
  return gate.ask({ context: { config }, aws: openAws(config, timeoutMs), freezing } as unknown as Look);
}

const result = (action: string, text: string): AwsAnswer => ({
  text: `<${action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><${action}Result>${text}</${action}Result></${action}Response>`,
});

describe('alarms', () => {
  const raised = (names: readonly string[], NextToken?: string): AwsAnswer =>
    json({
      MetricAlarms: names.map((AlarmName) => ({ AlarmName, StateValue: 'ALARM', StateReason: 'high' })),
      NextToken,
    });

  test('pass when none is raised', async () => {
    answers['DescribeAlarms'] = raised([]);
    expect(await ask('no alarm')).toMatchObject({ verdict: 'pass', figure: 'none of shop-… is raised' });
    expect(JSON.parse(aws.calls[0]!.body)).toMatchObject({ AlarmNamePrefix: 'shop-', StateValue: 'ALARM' });
  });

  test('block with those that are, of every page', async () => {
    const pages = [raised(['shop-a'], 'more'), raised(['shop-b'])];
    answers['DescribeAlarms'] = () => pages.shift()!;
    expect(await ask('no alarm')).toMatchObject({ verdict: 'block', figure: 'raised: shop-a, shop-b' });
  });

  test('are asked again when AWS throttles', async () => {
    const pages = [refusal('ThrottlingException'), raised([])];
    answers['DescribeAlarms'] = () => pages.shift()!;
    expect(await ask('no alarm')).toMatchObject({ verdict: 'pass' });
    expect(aws.calls).toHaveLength(2);
  });
});

describe('the serve profile', () => {
  const instances = (status: string, pending = ''): AwsAnswer =>
    result(
      'DescribeDBInstances',
      `<DBInstances><DBInstance><DBParameterGroups><DBParameterGroup><DBParameterGroupName>group</DBParameterGroupName><ParameterApplyStatus>${status}</ParameterApplyStatus></DBParameterGroup></DBParameterGroups><PendingModifiedValues>${pending}</PendingModifiedValues></DBInstance></DBInstances>`,
    );
  const cluster = (status: string): AwsAnswer =>
    result(
      'DescribeDBClusters',
      `<DBClusters><DBCluster><DBClusterParameterGroup>cluster-group</DBClusterParameterGroup><DBClusterMembers><DBClusterMember><DBInstanceIdentifier>shop-2</DBInstanceIdentifier><DBClusterParameterGroupStatus>${status}</DBClusterParameterGroupStatus></DBClusterMember></DBClusterMembers></DBCluster></DBClusters>`,
    );
  beforeEach(() => {
    answers = { DescribeDBInstances: instances('in-sync'), DescribeDBClusters: cluster('in-sync') };
    writeFileSync(join(stateDirectory, 'profile'), 'serve\n');
  });

  test('passes when it is in force and nothing waits for a restart', async () => {
    expect(await ask('serve profile in force')).toMatchObject({ verdict: 'pass' });
    expect(aws.operations().sort()).toEqual(['DescribeDBClusters', 'DescribeDBInstances', 'DescribeDBInstances']);
  });

  test('blocks while the target is tuned for the load', async () => {
    writeFileSync(join(stateDirectory, 'profile'), 'load\n');
    expect(await ask('serve profile in force')).toMatchObject({ verdict: 'block', figure: 'profile load' });
  });

  test.each<[string, () => void, string, AwsTarget]>([
    ['an instance', () => (answers['DescribeDBInstances'] = instances('pending-reboot')), 'shop-1 for group', OF_RDS],
    [
      'a value that was changed',
      () => (answers['DescribeDBInstances'] = instances('in-sync', '<DBInstanceClass>db.r7g.large</DBInstanceClass>')),
      'shop-1 for DBInstanceClass',
      OF_RDS,
    ],
    [
      'a member of the cluster',
      () => (answers['DescribeDBClusters'] = cluster('pending-reboot')),
      'shop-2 for cluster-group',
      TARGET,
    ],
  ])('blocks while %s waits for a restart', async (_what, change, figure, target) => {
    change();
    expect(await ask('serve profile in force', target)).toMatchObject({
      verdict: 'block',
      figure: `waits for a restart: ${figure}`,
    });
  });
});

describe('the rollback point', () => {
  const hoursAgo = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();
  const ofCluster = (...snapshots: readonly (readonly [string, string, string])[]): AwsAnswer =>
    result(
      'DescribeDBClusterSnapshots',
      `<DBClusterSnapshots>${snapshots.map(([name, status, at]) => `<DBClusterSnapshot><DBClusterSnapshotIdentifier>${name}</DBClusterSnapshotIdentifier><Status>${status}</Status><SnapshotCreateTime>${at}</SnapshotCreateTime></DBClusterSnapshot>`).join('')}</DBClusterSnapshots>`,
    );

  test.each([
    ['is warned of when there is none', [], 'warn', 'no snapshot'],
    ['is warned of when it is somebody else’s', [['nightly', 'available', hoursAgo(1)]], 'warn', 'no snapshot'],
    ['is warned of while it is made', [['ibex-1', 'creating', hoursAgo(1)]], 'warn', 'ibex-1 is creating'],
    ['is warned of when it failed', [['ibex-1', 'failed', hoursAgo(1)]], 'warn', 'ibex-1 is failed'],
    ['is warned of when it is old', [['ibex-1', 'available', hoursAgo(25)]], 'warn', 'snapshot ibex-1, 25.0 hours old'],
    [
      'is the newest of ours, by name in the report',
      [
        ['ibex-1', 'available', hoursAgo(9)],
        ['ibex-2', 'available', hoursAgo(2)],
      ],
      'pass',
      'snapshot ibex-2, 2.0 hours old',
    ],
  ] as const)('%s', async (_what, snapshots, verdict, figure) => {
    answers['DescribeDBClusterSnapshots'] = ofCluster(...snapshots);
    expect(await ask('rollback point')).toMatchObject({ verdict, figure });
    expect(new URLSearchParams(aws.calls[0]!.body).get('DBClusterIdentifier')).toBe('shop');
  });

  test.each([
    ['no snapshot', []],
    ['ibex-1 is creating', [['ibex-1', 'creating', hoursAgo(1)]]],
    ['ibex-1 is failed', [['ibex-1', 'failed', hoursAgo(1)]]],
  ] as const)('is awaited before the freeze, unless none is wanted: %s', async (figure, snapshots) => {
    answers['DescribeDBClusterSnapshots'] = ofCluster(...snapshots);
    const freezing = (snapshot: boolean) => ask('rollback point', TARGET, undefined, { freezing: true, snapshot });
    expect(await freezing(true)).toMatchObject({ verdict: 'block', figure });
    expect(await freezing(false)).toMatchObject({ verdict: 'warn', figure });
  });

  test('does not hold up the freeze when it is old', async () => {
    answers['DescribeDBClusterSnapshots'] = ofCluster(['ibex-1', 'available', hoursAgo(25)]);
    expect((await ask('rollback point', TARGET, undefined, { freezing: true })).verdict).toBe('warn');
  });

  test('is one of the instance where there is no cluster', async () => {
    answers['DescribeDBSnapshots'] = result(
      'DescribeDBSnapshots',
      `<DBSnapshots><DBSnapshot><DBSnapshotIdentifier>ibex-3</DBSnapshotIdentifier><Status>available</Status><SnapshotCreateTime>${hoursAgo(1)}</SnapshotCreateTime></DBSnapshot></DBSnapshots>`,
    );
    expect(await ask('rollback point', OF_RDS)).toMatchObject({
      verdict: 'pass',
      figure: 'snapshot ibex-3, 1.0 hours old',
    });
  });
});

describe('the target behind its address', () => {
  const NAME = 'target behind its address';
  const address = { writer: LISTENER.targetGroupArn, readers: LISTENER.sourceGroupArn };
  let listener: AwsListener;
  beforeEach(() => {
    listener = new AwsListener();
    answers['DescribeTargetHealth'] = (call) => listener.answer(call);
  });

  test('passes while writer and readers are healthy there', async () => {
    expect(await ask(NAME, { ...TARGET, address })).toMatchObject({
      verdict: 'pass',
      figure: 'healthy: 10.0.0.1 is healthy; readers: 10.0.0.1 is healthy',
    });
    const groups = aws.calls.map(({ body }) => new URLSearchParams(body).get('TargetGroupArn'));
    expect(groups).toEqual([address.writer, address.readers]);
  });

  test.each(['unhealthy', 'initial', 'unused', 'draining'])('blocks while its writer is %s', async (state) => {
    listener.health[address.writer] = state;
    expect(await ask(NAME, { ...TARGET, address }, undefined, { freezing: true })).toMatchObject({
      verdict: 'block',
      figure: `no writer is healthy there: 10.0.0.1 is ${state}`,
    });
  });

  test('blocks while nothing is there', async () => {
    answers['DescribeTargetHealth'] = {
      text: '<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions/></DescribeTargetHealthResult></DescribeTargetHealthResponse>',
    };
    expect(await ask(NAME, { ...TARGET, address })).toMatchObject({
      verdict: 'block',
      figure: 'no writer is healthy there: it has none',
    });
  });

  test('warns while no reader is healthy', async () => {
    listener.health[address.readers] = 'unhealthy';
    expect(await ask(NAME, { ...TARGET, address })).toMatchObject({
      verdict: 'warn',
      figure: 'no reader is healthy there: 10.0.0.1 is unhealthy',
    });
  });

  test('is not asked where no load balancer is described', async () => {
    expect(await ask(NAME)).toMatchObject({ verdict: 'pass', figure: expect.stringContaining('not asked') });
    expect(aws.calls).toEqual([]);
  });
});

test.each(['no alarm', 'serve profile in force', 'rollback point', 'target behind its address'])(
  'a service that gives no answer does not hold up the gate %s for ever',
  async (name) => {
    for (const call of [
      'DescribeAlarms',
      'DescribeDBInstances',
      'DescribeDBClusters',
      'DescribeDBClusterSnapshots',
      'DescribeTargetHealth',
    ])
      answers[call] = 'hang';
    await expect(ask(name, { ...TARGET, address: { writer: 'group' } }, 100)).rejects.toThrow(
      /exceeded the configured 100 ms|[Tt]ime/,
    );
    expect(aws.calls.length).toBeGreaterThanOrEqual(3);
  },
);

test('a service that fails once is asked again', async () => {
  const snapshots = [
    { status: 503, text: '<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>' },
    result('DescribeDBClusterSnapshots', '<DBClusterSnapshots></DBClusterSnapshots>'),
  ];
  answers['DescribeDBClusterSnapshots'] = () => snapshots.shift()!;
  expect(await ask('rollback point')).toMatchObject({ verdict: 'warn', figure: 'no snapshot' });
});

test('a right that the host lacks is said', async () => {
  await expect(ask('rollback point')).rejects.toThrow(/no/);
  await expect(ask('no alarm')).rejects.toThrow();
});
