import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leadHomeUnasked } from '../../../assets/agent/cutover/home';
import type { StepName } from '../../../assets/agent/cutover/steps';
import type { End } from '../../../assets/agent/endpoints';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { bundle } from '../../../lib/bundle';
import { AwsListener, AwsRecord, CHANGE_RECORD, LISTENER, RECORD } from '../../helpers/aws-addresses';
import { startAws, type AwsServer } from '../../helpers/aws-calls';
import { startBothWays, type BothWays } from './both-ways';

const BUDGET_SECONDS = 60;

const directory = mkdtempSync(join(tmpdir(), 'ibex-led-'));
const file = (name: string): string => join(directory, name);
const listener = new AwsListener();
const record = new AwsRecord();
/** Ends to which the addresses were led since it was last asked. */
const led = { listener: [] as End[], record: [] as End[] };

let aws: AwsServer;
let ways: BothWays;
/** Leads the program to AWS as it is played here. */
let toAws: Readonly<Record<string, string>>;

/** What the hook was told since it was last asked. */
function told(): string[] {
  const lines = existsSync(file('told')) ? readFileSync(file('told'), 'utf8').trim().split('\n') : [];
  rmSync(file('told'), { force: true });
  return lines;
}

/** Where everything leads now, and how it came there. */
function moved(): { hook: string[]; listener: End[]; record: End[] } {
  const { listener: byListener, record: byRecord } = led;
  Object.assign(led, { listener: [], record: [] });
  return { hook: told(), listener: byListener, record: byRecord };
}

beforeAll(async () => {
  aws = await startAws((call) => {
    const ofRecord = call.operation.includes('/2013-04-01/');
    const answer = ofRecord ? record.answer(call) : listener.answer(call);
    if (call.operation === CHANGE_RECORD) led.record.push(record.value === RECORD.source ? 'source' : 'target');
    if (call.operation === 'ModifyListener')
      led.listener.push(listener.leads[0] === LISTENER.sourceGroupArn ? 'source' : 'target');
    return answer;
  });
  toAws = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('AWS_'))) as typeof toAws;
  const tell = `echo "$IBEX_MOMENT $1" >> '${file('told')}'; [ "$IBEX_MOMENT" != "$(cat '${file('refuses')}')" ]`;
  ways = await startBothWays(
    'CREATE TABLE probe (id int PRIMARY KEY)',
    {
      budgetSeconds: BUDGET_SECONDS,
      compareAtFreeze: false,
      switches: [
        {
          kind: 'command',
          command: ['/bin/sh', '-c', tell, 'hook'],
          at: ['beforeFreeze', 'switch', 'afterOpen'],
          timeoutSeconds: 10,
        },
        { ...LISTENER, budgetSeconds: 120 },
        RECORD,
      ],
    },
    undefined,
    (program) => bundle({ entry: 'test/agent/cutover/dying-program.ts', outFile: program, target: 'node20' }),
  );
  // The sessions of the end that is left are ended, but for ours.
  for (const end of ['source', 'target'] as const) await ways[end].query(`SET application_name = 'ibex test'`);
});
afterAll(async () => {
  await ways?.stop();
  await aws?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Moves writes until everything is switched, and the program dies there, or before a later step. */
async function dies(phase: string, step: StepName = 'point of no return'): Promise<void> {
  const environment = { ...toAws, IBEX_TEST_STEP: step, IBEX_TEST_MOMENT: 'before' };
  expect(await ways.die(phase, environment)).toMatchObject({ killed: true });
}

const AWAY = { hook: ['beforeFreeze target', 'switch target'], listener: ['target'], record: ['target'] };
const HOME = { hook: ['switch source', 'afterOpen source'], listener: ['source'], record: ['source'] };

it('a hook that fails before the freeze ends the cutover before any write is stopped', async () => {
  writeFileSync(file('refuses'), 'beforeFreeze');
  expect(await ways.die('cutover', toAws)).toMatchObject({
    status: 1,
    output: expect.stringContaining('ended with 1'),
  });
  rmSync(file('refuses'));
  expect(moved()).toEqual({
    hook: ['beforeFreeze target', 'switch source', 'afterOpen source'],
    listener: [],
    record: [],
  });
  const { steps } = (await ways.fact('cutover.timeline')) as { steps: { step: string }[] };
  expect(steps.map(({ step }) => step)).toEqual(['hold clients', 'give writes back', 'switch back']);
  expect(await ways.fact('cutover.clientsLed')).toBeNull();
});

it('clients of a cutover that died after it led them away are led back by the host itself, once it is up', async () => {
  await dies('cutover');
  expect(moved()).toEqual(AWAY);
  const fence = await readFenceState(ways.source);
  // What the load balancer has of its own comes on top.
  const left = Date.parse(fence?.kind === 'until' ? fence.deadline : '') - Date.now();
  expect(left).toBeGreaterThan(BUDGET_SECONDS * 1000);
  await ways.migration.host.kill();
  await ways.migration.host.start();
  const { state } = await ways.migration.context('test');
  await ways.kill('supervise', async () => (await state.fact('cutover.clientsLed')) === null, toAws);
  expect(moved()).toEqual(HOME);
  expect(await ways.takesWrites('source')).toBe(true);
});

it('or else by the next run, which then moves them', async () => {
  await dies('cutover');
  expect(moved()).toEqual(AWAY);
  expect(await ways.die('cutover', toAws)).toMatchObject({ status: 0 });
  expect(moved()).toEqual({
    hook: [...HOME.hook, ...AWAY.hook, 'afterOpen target'],
    listener: ['source', 'target'],
    record: ['source', 'target'],
  });
  const { state } = await ways.migration.context('test');
  expect(await state.fact('cutover.clientsLed')).toBeNull();
});

it('past its point of no return the host leaves them where the writes will be, and the next run goes on', async () => {
  await dies('rollback', 'last look');
  expect(moved()).toEqual({ hook: ['beforeFreeze source', 'switch source'], listener: ['source'], record: ['source'] });
  const { state } = await ways.migration.context('test');
  expect(await state.fact('back.cutover.clientsLed')).toBe(true);
  await leadHomeUnasked(ways.config, 'test');
  expect(moved()).toEqual({ hook: [], listener: [], record: [] });
  expect(await ways.fences()).toEqual(['closed', 'final']);
  expect(await ways.die('rollback', toAws)).toMatchObject({ status: 0 });
  const { hook, listener: byListener, record: byRecord } = moved();
  expect([...hook, ...byListener, ...byRecord]).not.toContainEqual(expect.stringContaining('target'));
  expect(await ways.fences()).toEqual(['open', 'closed']);
  expect(await ways.die('cutover', toAws)).toMatchObject({ status: 0 });
  moved();
});

it('without the host’s memory the next rollback leads those back that can tell where they lead', async () => {
  await dies('rollback');
  expect(moved()).toEqual({ hook: ['beforeFreeze source', 'switch source'], listener: ['source'], record: ['source'] });
  const host = await ways.migration.host.connect();
  await host.query('DROP DATABASE ibex WITH (FORCE)');
  await host.end();
  expect(await ways.die('rollback', toAws)).toMatchObject({ status: 0 });
  expect(moved()).toEqual({
    hook: ['beforeFreeze source', 'switch source', 'afterOpen source'],
    listener: ['target', 'source'],
    record: ['target', 'source'],
  });
});

it('cleanup leads them back before any fence goes, and takes nothing off when one of the switches cannot', async () => {
  const { state } = await ways.migration.context('verify');
  for (const phase of ['sync', 'verify']) {
    await state.phaseStarted(phase);
    await state.phaseEnded(phase, 'succeeded', 'by the test');
  }
  await dies('cutover');
  expect(moved()).toEqual(AWAY);
  writeFileSync(file('refuses'), 'switch');
  expect(await ways.die('cleanup', toAws)).toMatchObject({
    status: 1,
    output: expect.stringMatching(/ended with 1; the source takes the writes; mend that, and start cleanup again/),
  });
  expect(moved()).toEqual(HOME);
  expect(await ways.fences()).toEqual(['open', 'closed']);
  expect(await state.fact('cutover.clientsLed')).toBe(true);
  rmSync(file('refuses'));
  expect(await ways.die('cleanup', toAws)).toMatchObject({ status: 0 });
  expect(moved().hook).toEqual(HOME.hook);
  expect(await ways.fences()).toEqual([undefined, undefined]);
});
