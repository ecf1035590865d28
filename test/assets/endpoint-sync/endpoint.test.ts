import { syncEndpoint, type EndpointChange } from '../../../assets/endpoint-sync/endpoint';
import { settingsOf } from '../../../assets/endpoint-sync/handler';
import { startLoadBalancer, THROTTLING, type TestLoadBalancer } from './load-balancer';

const WRITER = 'arn:writer';
const READERS = 'arn:readers';
/** The function's environment, as the template sets it. */
const ENVIRONMENT = {
  AWS_LAMBDA_FUNCTION_NAME: 'endpoint-sync',
  PORT: '5432',
  TARGET_GROUP_ARN: WRITER,
  WRITER: 'shop.cluster-x',
  READER_TARGET_GROUP_ARN: READERS,
  INSTANCES: 'shop-1.x,shop-2.x,shop-3.x',
};
const DENIED = { code: 'AccessDenied', status: 403 };
const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.0.0.3';

let balancer: TestLoadBalancer;
let names: Record<string, string[] | string>;
let printed: string[];
let pauses: number;

beforeEach(async () => {
  balancer = await startLoadBalancer();
  balancer.create(WRITER, { [A]: 'healthy' });
  balancer.create(READERS, { [B]: 'healthy', [C]: 'healthy' });
  names = { 'shop.cluster-x': [A], 'shop-1.x': [A], 'shop-2.x': [B], 'shop-3.x': [C] };
  printed = [];
  pauses = 0;
});
afterEach(() => balancer.close());

/** One invocation; a name's value is its addresses, or the code by which the name service fails. */
const invoke = (environment: Record<string, string | undefined> = ENVIRONMENT): Promise<EndpointChange> =>
  syncEndpoint(settingsOf(environment), {
    client: balancer.client,
    resolve: async (name) => {
      const found = names[name] ?? 'ENOTFOUND';
      if (typeof found === 'string') throw Object.assign(new Error(`queryA ${found} ${name}`), { code: found });
      return found;
    },
    print: (line) => void printed.push(line),
    pause: async () => void (pauses += 1),
  });

/** Values of the metrics that the last invocation printed, by role. */
const metrics = (): Record<string, unknown> =>
  Object.fromEntries(
    printed
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => '_aws' in line)
      .map(({ Role, Targets, Changes, Function }) => [Role, { Targets, Changes, Function }]),
  );

const failover = (): void => void (names['shop.cluster-x'] = [B]);

/** Changing calls, in their order. */
const changes = (): string[] =>
  balancer.calls
    .filter(({ action }) => action !== 'DescribeTargetHealth')
    .map(({ action, arn, addresses }) => `${action} ${arn} ${addresses.join()}`);

test('in health one question for each group, and nothing is changed', async () => {
  expect(await invoke()).toEqual({
    writer: { registered: [], deregistered: [] },
    readers: { registered: [], deregistered: [] },
  });
  expect(balancer.calls.map(({ action }) => action)).toEqual(['DescribeTargetHealth', 'DescribeTargetHealth']);
  expect(metrics()).toEqual({
    writer: { Targets: 1, Changes: 0, Function: 'endpoint-sync' },
    readers: { Targets: 2, Changes: 0, Function: 'endpoint-sync' },
  });
});

test('after a failover one invocation moves both groups, new targets before old ones', async () => {
  failover();
  expect(await invoke()).toEqual({
    writer: { registered: [B], deregistered: [A] },
    readers: { registered: [A], deregistered: [B] },
  });
  expect(changes()).toEqual([
    `RegisterTargets ${WRITER} ${B}`,
    `DeregisterTargets ${WRITER} ${A}`,
    `RegisterTargets ${WRITER} ${B}`,
    `RegisterTargets ${READERS} ${A},${C}`,
    `DeregisterTargets ${READERS} ${B}`,
    `RegisterTargets ${READERS} ${A},${C}`,
  ]);
  expect(balancer.serving(WRITER)).toEqual([B]);
  expect(balancer.serving(READERS).toSorted()).toEqual([A, C]);
  expect([balancer.fewest(WRITER), balancer.fewest(READERS)]).toEqual([1, 2]);
  expect(metrics()).toMatchObject({ writer: { Targets: 1, Changes: 2 }, readers: { Targets: 2, Changes: 2 } });
});

test('throttled calls are repeated within the same invocation', async () => {
  failover();
  balancer.refuse('DescribeTargetHealth', WRITER, THROTTLING);
  balancer.refuse('RegisterTargets', WRITER, THROTTLING, THROTTLING);
  balancer.refuse('DeregisterTargets', WRITER, THROTTLING, { code: 'ServiceUnavailable', status: 503 });
  await invoke();
  expect(balancer.requests() - balancer.calls.length).toBe(5);
  expect(balancer.serving(WRITER)).toEqual([B]);
});

test('a load balancer that shows a new target late is asked again before the old one goes', async () => {
  balancer.lag(3);
  failover();
  await invoke();
  // Two groups, three old answers each.
  expect(pauses).toBe(6);
  expect(balancer.serving(WRITER)).toEqual([B]);
  expect(balancer.fewest(WRITER)).toBe(1);
});

test('while it does not show the new target the old one stays; the next invocation goes on', async () => {
  balancer.lag(100);
  failover();
  await expect(invoke()).rejects.toThrow(
    `writer: registered ${B}, which the target group does not show yet; ${A} stays until it does`,
  );
  expect(balancer.serving(WRITER).toSorted()).toEqual([A, B]);
  balancer.lag(0);
  await invoke();
  expect(balancer.serving(WRITER)).toEqual([B]);
  expect(balancer.fewest(WRITER)).toBe(1);
});

test('there and back: an old answer that still shows a target that was taken out does not empty the group', async () => {
  failover();
  // What answers say of the group for some seconds after A was taken out: that A and B are in it.
  balancer.lag(1);
  await invoke();
  expect(balancer.serving(WRITER)).toEqual([B]);
  names['shop.cluster-x'] = [A];
  await invoke();
  await invoke();
  expect(balancer.serving(WRITER)).toEqual([A]);
  expect(balancer.fewest(WRITER)).toBe(1);
});

test('an error in the writer’s group leaves the readers their turn, and fails the invocation', async () => {
  failover();
  balancer.refuse('RegisterTargets', WRITER, DENIED);
  await expect(invoke()).rejects.toThrow(/^writer: AccessDenied of RegisterTargets$/);
  expect(balancer.serving(WRITER)).toEqual([A]);
  expect(balancer.serving(READERS).toSorted()).toEqual([A, C]);
  // No value for the group that failed: its silence is what the alarm sees.
  expect(Object.keys(metrics())).toEqual(['readers']);
});

test('when both fail, both are named', async () => {
  balancer.refuse('DescribeTargetHealth', WRITER, DENIED);
  balancer.refuse('DescribeTargetHealth', READERS, { code: 'TargetGroupNotFound', status: 400 });
  await expect(invoke()).rejects.toThrow(
    /^writer: AccessDenied of DescribeTargetHealth; readers: TargetGroupNotFound of DescribeTargetHealth$/,
  );
  expect(metrics()).toEqual({});
});

test('an error in the readers’ group fails the invocation after the writer’s has moved', async () => {
  failover();
  balancer.refuse('DeregisterTargets', READERS, DENIED);
  await expect(invoke()).rejects.toThrow(/^readers: AccessDenied/);
  expect(balancer.serving(WRITER)).toEqual([B]);
  expect(Object.keys(metrics())).toEqual(['writer']);
});

test('without the writer’s address nobody knows who reads: both groups stay, both are named', async () => {
  names['shop.cluster-x'] = 'ETIMEOUT';
  await expect(invoke()).rejects.toThrow(
    'writer: queryA ETIMEOUT shop.cluster-x; readers: queryA ETIMEOUT shop.cluster-x',
  );
  expect(changes()).toEqual([]);
});

test('a name service that does not answer for a reader takes no reader out', async () => {
  names['shop-3.x'] = 'ESERVFAIL';
  await expect(invoke()).rejects.toThrow('readers: queryA ESERVFAIL shop-3.x');
  expect(changes()).toEqual([]);
  names['shop-3.x'] = 'ENOTFOUND';
  await invoke();
  expect(balancer.serving(READERS)).toEqual([B]);
});

test('without a readers’ listener only the writer’s group is looked at', async () => {
  expect(await invoke({ ...ENVIRONMENT, READER_TARGET_GROUP_ARN: undefined, INSTANCES: undefined })).toEqual({
    writer: { registered: [], deregistered: [] },
  });
  expect(balancer.calls.map(({ arn }) => arn)).toEqual([WRITER]);
});

test('a variable that is missing is named', () => {
  expect(() => settingsOf({ ...ENVIRONMENT, WRITER: '' })).toThrow('environment variable WRITER is not set');
});
