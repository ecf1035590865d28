import type { Context } from '../../../assets/agent/context';
import type { End } from '../../../assets/agent/endpoints';
import { readFenceState } from '../../../assets/agent/fence/objects';
import { IDENTITY_FACT, type Problems } from '../../../assets/agent/sync/facts';
import { watchIdentities } from '../../../assets/agent/sync/identity';
import { until } from '../../helpers/until';
import { startBothWays, type BothWays } from './both-ways';

const ROWS = 500;

let ways: BothWays;
beforeAll(async () => {
  ways = await startBothWays(`
    CREATE TABLE probe (id int PRIMARY KEY);
    CREATE UNLOGGED TABLE cached (id int PRIMARY KEY, v text)`);
  await ways.source.query(`INSERT INTO public.cached SELECT i, 'v' || i FROM generate_series(1, ${ROWS}) i`);
});
afterAll(() => ways?.stop());

/** Rows of the unlogged table, by a session of its own: a crash ends all others. */
async function cached(end: End): Promise<string[]> {
  const client = await ways.migration.admin(end);
  try {
    const { rows } = await client.query('SELECT c::text AS row FROM public.cached c ORDER BY id');
    return (rows as { row: string }[]).map(({ row }) => row);
  } finally {
    await client.end();
  }
}

/** What the supervisor does every few seconds. */
const look = (context: Context): Promise<unknown> =>
  context.with('source', (source) => context.with('target', (target) => watchIdentities(context, { source, target })));

/** Kills a move of writes past its point of no return, before it opens the end that takes over. One of the ends crashes then, too. */
async function crashedPastNoReturn(phase: 'cutover' | 'rollback', which: 'left' | 'taking' = 'taking'): Promise<void> {
  const [left, taking]: [End, End] = phase === 'cutover' ? ['source', 'target'] : ['target', 'source'];
  const crashing = which === 'left' ? left : taking;
  const [fenced, blocker] = [await ways.migration.admin(left), await ways.migration.admin(taking)];
  await blocker.query('BEGIN; ALTER FUNCTION ibex.fence() COST 200');
  await ways.kill(phase, async () => (await readFenceState(fenced))?.kind === 'final');
  await fenced.end();
  await ways.migration[crashing].kill();
  await ways.migration[crashing].start();
  if (which === 'taking') return;
  // A server does not notice that the client of a waiting statement is gone.
  await blocker.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ibex %' AND wait_event_type = 'Lock'`,
  );
  await blocker.end();
}

it('an unlogged table that the target has lost in a crash since the point of no return is there when it opens', async () => {
  await crashedPastNoReturn('cutover');
  expect(await cached('target')).toEqual([]);
  expect(await ways.run('cutover')).toMatchObject({ status: 0 });
  expect(await cached('target')).toHaveLength(ROWS);
  expect(await cached('target')).toEqual(await cached('source'));
});

it('so it is on the way back, when the source crashes', async () => {
  const application = await ways.migration.admin('target');
  await application.query(`UPDATE public.cached SET v = 'on the target' WHERE id % 2 = 0`);
  await application.end();
  await until(async () => (await cached('source')).includes('(2,"on the target")'));
  // As an earlier rollback would have left it whose clients were never moved.
  await (await ways.migration.context('rollback')).state.facing('back').setFact('cutover.unfinished', true);
  await crashedPastNoReturn('rollback');
  expect(await cached('source')).toEqual([]);
  expect(await ways.run('rollback')).toMatchObject({ status: 0 });
  expect(await cached('source')).toHaveLength(ROWS);
  expect(await cached('source')).toEqual(await cached('target'));
});

it('what became of the ends while the target had the writes is no alarm after that: the next cutover begins', async () => {
  await look(await ways.migration.context('ready'));
  expect(await ways.fact(IDENTITY_FACT)).toBeNull();
  expect(await ways.run('cutover')).toMatchObject({ status: 0 });
});

it('an unlogged table that the end that is left has lost in a crash since then comes back to it once that is fed', async () => {
  await crashedPastNoReturn('rollback', 'left');
  expect(await cached('target')).toEqual([]);
  expect(await ways.run('rollback')).toMatchObject({ status: 0 });
  expect(await cached('source')).toHaveLength(ROWS);
  await until(async () => (await cached('target')).length === ROWS);
  expect(await ways.run('cutover')).toMatchObject({ status: 0 });
});

it('an unlogged table is there, too, when the host has forgotten whether the end that takes over was started anew', async () => {
  await crashedPastNoReturn('rollback');
  const host = await ways.migration.host.connect();
  await host.query('DROP DATABASE ibex WITH (FORCE)');
  await host.end();
  expect(await ways.run('rollback')).toMatchObject({ status: 0 });
  expect(await cached('source')).toHaveLength(ROWS);
  expect(await cached('source')).toEqual(await cached('target'));
});

it('a rollback that only finishes an earlier one keeps the alarm that was raised since', async () => {
  const context = await ways.migration.context('rollback');
  const { state } = context;
  await look(context);
  await ways.migration.source.kill();
  await ways.migration.source.start();
  await look(context);
  const alarms = async (): Promise<readonly string[]> =>
    (await state.fact<Problems | null>(IDENTITY_FACT))?.problems ?? [];
  const alarm = expect.stringContaining('the source may have lost what the target has');
  expect(await alarms()).toContainEqual(alarm);
  await state.phaseEnded('rollback', 'failed', 'the clients were not moved');
  await state.facing('back').setFact('cutover.unfinished', true);
  expect(await ways.run('rollback')).toMatchObject({ status: 0 });
  expect(await alarms()).toContainEqual(alarm);
});
