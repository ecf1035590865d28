import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { takenOff } from '../../../assets/agent/brake/capture-off';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Direction, End } from '../../../assets/agent/endpoints';
import { resumeUnasked } from '../../../assets/agent/sync/resume';
import { guardQueues } from '../../../assets/agent/sync/guard-queues';
import { heldDirection, unwantSync, wantedDirection } from '../../../assets/agent/sync/supervisor-job';
import { bundle } from '../../../lib/bundle';
import { until } from '../../helpers/until';
import { startBothWays, type BothWays } from './both-ways';

let ways: BothWays;
beforeAll(async () => {
  ways = await startBothWays(
    'CREATE TABLE probe (id int PRIMARY KEY)',
    { compareAtFreeze: false },
    // What the test locks, or on a slow machine waits to be applied, would keep a move from being begun.
    async ({ config }) => ({ ready: { ...config.ready, transactionSeconds: 600, lagSeconds: 600 } }),
    (program) => bundle({ entry: 'test/agent/cutover/dying-program.ts', outFile: program, target: 'node20' }),
  );
  const { state } = await ways.migration.context('test');
  for (const phase of ['capture', 'copy']) {
    await state.phaseStarted(phase);
    await state.phaseEnded(phase, 'succeeded', 'by the test');
  }
});
afterAll(() => ways?.stop());

const isWanted = (direction: Direction): void =>
  writeFileSync(join(ways.config.host.stateDirectory, 'sync.wanted'), direction);
const isHeld = (direction: Direction): void =>
  writeFileSync(join(ways.config.host.stateDirectory, 'sync.held'), direction);
/** In which direction the sync is wanted, and held. */
const sync = (): unknown => ({ wanted: wantedDirection(ways.config), held: heldDirection(ways.config) });

/** Kills a phase that has stopped the sync and cannot have the leases; the supervisor left it alone until then. */
async function killedEarly(phase: string, fed: End, direction: Direction): Promise<void> {
  const blocker = await ways.migration.admin(fed);
  const its = `FROM pg_stat_activity WHERE application_name = 'ibex ${phase}'`;
  try {
    await blocker.query('BEGIN; SELECT FROM ibex.relation FOR UPDATE');
    await ways.kill(phase, async () => {
      if ((await ways[fed].query(`SELECT ${its} AND wait_event_type = 'Lock'`)).rowCount === 0) return false;
      await resumeUnasked(ways.config, 'test');
      expect(sync()).toEqual({ held: direction });
      return true;
    });
    await ways[fed].query(`SELECT pg_terminate_backend(pid) ${its}`);
  } finally {
    await blocker.query('ROLLBACK');
    await blocker.end();
  }
  expect(sync()).toEqual({ held: direction });
}

/** The supervisor, which is up from boot, has asked for the sync. */
const resumes = (direction: Direction): Promise<void> =>
  ways.kill('supervise', () => Promise.resolve(wantedDirection(ways.config) === direction));

it('a cutover that cannot shut out what applied until then leaves the sync going', async () => {
  // Not for our login to alter.
  await ways.migration.admin('target').then(async (target) => {
    await target.query('CREATE ROLE ibex_bucardo SUPERUSER');
    try {
      expect(await ways.run('cutover')).toEqual({ status: 1, output: expect.stringContaining('permission denied') });
    } finally {
      await target.query('DROP ROLE ibex_bucardo');
      await target.end();
    }
  });
  expect(sync()).toEqual({ wanted: 'forward' });
  expect(await ways.takesWrites('source')).toBe(true);
});

it.each(['cutover', 'sync'])(
  'a %s that is killed once it has stopped the sync has it asked for again',
  async (phase) => {
    isWanted('forward');
    await killedEarly(phase, 'target', 'forward');
    await resumes('forward');
    expect(sync()).toEqual({ wanted: 'forward' });
  },
);

it('past the point of no return the sync is not asked for again, and the next run goes on', async () => {
  const { state } = await ways.migration.context('test');
  await state.phaseEnded('sync', 'succeeded', 'by the test');
  const environment = { IBEX_TEST_STEP: 'last look', IBEX_TEST_MOMENT: 'before' };
  expect(await ways.die('cutover', environment)).toMatchObject({ killed: true });
  await until(async () => {
    if (!(await state.claim('move of writes', 0))) return false;
    await state.release('move of writes');
    return true;
  });
  await resumeUnasked(ways.config, 'test');
  expect(sync()).toEqual({ held: 'forward' });
  expect(await ways.fences()).toEqual(['final', 'closed']);
  expect(await ways.run('cutover')).toMatchObject({ status: 0 });
  expect(sync()).toEqual({ wanted: 'back' });
});

describe('a rollback that is killed once it has stopped the feeding of the source', () => {
  it('has it asked for again', async () => {
    await killedEarly('rollback', 'source', 'back');
    await resumes('back');
    expect(sync()).toEqual({ wanted: 'back' });
  });

  it('leaves the hard limit on the queue of the target, also while the source is away and nobody asks for the sync', async () => {
    await killedEarly('rollback', 'source', 'back');
    unwantSync(ways.config);
    const config: AgentConfig = {
      ...ways.config,
      source: { ...ways.config.source, port: 1 },
      brake: { ...ways.config.brake, queueMegabytes: 0.001 },
    };
    const { state } = await ways.migration.context('test');
    await until(async () => {
      await expect(guardQueues(config)).rejects.toThrow('cannot connect');
      return takenOff(state.facing('back'));
    });
    const { rowCount } = await ways.target.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`);
    expect(rowCount).toBe(0);
    isHeld('back');
    await expect(guardQueues(config)).rejects.toThrow('cannot connect');
    expect(sync()).toEqual({});
    expect(await ways.takesWrites('target')).toBe(true);
  });
});
