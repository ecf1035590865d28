import { rmSync } from 'node:fs';
import type { Client } from 'pg';
import { killBucardo } from './bucardo/daemon';
import { BUCARDO_DATABASE } from './bucardo/names';
import { endSourceSessions, expelBucardo } from './bucardo/login';
import { appliedByBucardo, BUCARDO_ROWS_FACT } from './bucardo/runs';
import { dropBucardoLogin } from './cleanup/bucardo-login';
import { isConcurrentChange } from './cleanup/concurrently';
import { reachEnds } from './cleanup/ends';
import { keepOnlyFence } from './cleanup/fence';
import { leftovers, passwordFiles } from './cleanup/leftovers';
import { dropCapture } from './cleanup/source';
import { connectToHost } from './connect';
import type { Context } from './context';
import { claimMove, keepWorkersOut } from './cutover/claim';
import { endPartialDump, rowArchive } from './dump/partial';
import { Failure } from './errors';
import { openSource } from './fence/source';
import { Jobs } from './job';
import { ensureMigratorLogin, retireMigratorLogin } from './migrator-login';
import type { Phase, PhaseOutcome } from './phase';
import { ident } from './sql';
import { dropHeartbeats } from './sync/heartbeat';
import { stopSupervisor, SUPERVISOR } from './sync/supervisor-job';

/** How often cleanup is tried when somebody else changes an object of the catalogs that it changes. */
const TRIES = 3;

/** Whoever else changes an object has done so by the next try, which begins anew: all of it may be repeated. */
async function run(context: Context): Promise<PhaseOutcome> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(context);
    } catch (error) {
      if (attempt === TRIES || !isConcurrentChange(error)) throw error;
      context.log.warn({ err: error, attempt }, 'somebody changed the same object; begun anew');
    }
  }
}

async function once(context: Context): Promise<PhaseOutcome> {
  // A login that cannot be made is told by its connection; the source is cleaned all the same.
  await ensureMigratorLogin(context).catch((error: unknown) => context.log.error({ err: error }, 'target login'));
  const { host } = context.config;
  await claimMove(context);
  await keepWorkersOut(context);
  const reached = await reachEnds(context);
  const { source, target, keepFence, gone } = reached;
  await stopSupervisor(context.config);
  await killBucardo(host);
  await endPartialDump(host.stateDirectory, source);
  const triggers = (source ? await cleanSource(context, source, keepFence) : 0) + (await cleanTarget(context, target));
  const { rows } = await appliedByBucardo(host);
  // A run that is repeated may find its database gone, which an earlier one has asked.
  if (rows > 0) await context.state.setFact(BUCARDO_ROWS_FACT, rows);
  await dropBucardoDatabase(context);
  for (const file of passwordFiles(host)) rmSync(file);
  rmSync(rowArchive(host.stateDirectory), { recursive: true, force: true });

  const left = [...reached.untouched, ...(await leftovers(host, reached))];
  await context.evidence('nothing is left', left.length === 0, 'leftovers', gone ? { left, gone } : left);
  if (left.length > 0)
    throw new Failure(`still there: ${left.join('; ')}${reached.untouched.length > 0 ? '' : '; start cleanup again'}`);
  await retireLogin(context);
  // What a new migration would find done, or refuse for, is gone. Where the target kept the writes the record is kept.
  if (!keepFence && !(await isMoved(context, gone !== undefined))) {
    await context.state.startOver();
    new Jobs(context.config).forget((job) => job !== cleanup.name && job !== SUPERVISOR);
  }
  const fence = keepFence ? '; the source stays fenced, so that no stray client writes there' : '';
  return {
    message: `${triggers} triggers and all objects of Ibex and Bucardo are gone from ${gone ? 'the target; the source, gone for good, was left as it is' : 'both ends'}${fence}`,
    result: { triggers },
  };
}

/**
 * Whether the writes were moved to the target and stayed there, by the record: of ends that were cleaned before, the fences
 * tell nothing any more. From a source that is gone for good no rollback can have moved them back.
 */
async function isMoved({ state }: Context, sourceIsGone: boolean): Promise<boolean> {
  const [cutover, rollback] = [await state.phase('cutover'), await state.phase('rollback')];
  if (cutover?.status !== 'succeeded') return false;
  return sourceIsGone || rollback === undefined || rollback.startedAt < cutover.startedAt;
}

/** Last, since all the rest is done by it; what the server then says of it is evidence of its own. */
async function retireLogin(context: Context): Promise<void> {
  const retired = await retireMigratorLogin(context);
  if (!retired) return;
  const passed = !retired.mayLogIn && !retired.elevated && !retired.ownsDatabase;
  await context.evidence('the target login is retired', passed, 'pg_roles, pg_database', retired);
  if (!passed) throw new Failure(`target login "${retired.login}" is not retired; start cleanup again`);
}

async function cleanSource(context: Context, source: Client, keepFence: boolean): Promise<number> {
  await endSourceSessions(source);
  const triggers = await dropCapture(context, source);
  await dropHeartbeats(source);
  if (keepFence) {
    await keepOnlyFence(source);
    return triggers;
  }
  await openSource(source);
  await dropCapture(context, source, 'ibex');
  return triggers;
}

async function cleanTarget(context: Context, target: Client | undefined): Promise<number> {
  if (!target) return 0;
  await expelBucardo(target);
  const triggers = await dropCapture(context, target);
  await dropCapture(context, target, 'ibex');
  await dropBucardoLogin(target);
  return triggers;
}

async function dropBucardoDatabase(context: Context): Promise<void> {
  const host = await connectToHost(context.config.host, 'postgres');
  try {
    await host.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [BUCARDO_DATABASE]);
    await host.query(`DROP DATABASE IF EXISTS ${ident(BUCARDO_DATABASE)}`);
  } finally {
    await host.end();
  }
}

/** Removes everything of ours from both ends, from whatever state the migration is in, and proves it. */
export const cleanup: Phase = { name: 'cleanup', after: [], once: false, run };
