import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { schemaArchive } from './archive/schema-dump';
import { bucardoRuns, lastWords, startTimeout } from './bucardo/daemon';
import { tellIdleHandlers } from './bucardo/handlers';
import { readLag } from './bucardo/queues';
import { appliedByBucardo } from './bucardo/runs';
import { inspectCaptured } from './capture/check';
import { refuseExcluded } from './capture/excluded';
import type { Relation } from './catalog/relations';
import { CatchUp } from './catch-up/rounds';
import { buildConstraints, missingConstraints } from './constraints';
import type { Context } from './context';
import { requireNoMove } from './cutover/claim';
import { Failure, oneLine } from './errors';
import { isPastNoReturn } from './fence/source';
import type { Phase, PhaseOutcome } from './phase';
import { takeOverSynced, type Ends } from './sync/applier';
import { PROBLEM_FACT, TROUBLE_FACT, type Trouble } from './sync/facts';
import { watchIdentities } from './sync/identity';
import { beginMeasuring, PLAN_FACT, type Plan } from './sync/plan';
import { SETTINGS_FACT, settingsOf } from './sync/settings';
import { heldDirection, holdSupervisor, startSupervisor, supervisorRuns, wantedDirection } from './sync/supervisor-job';

/** Fact, in the state, that unique constraints, foreign keys and the rest of the schema stand on the target. */
export const CONSTRAINTS_FACT = 'constraints.built';

/** How long Bucardo may take to come near the source once it runs; milliseconds. */
const SETTLE_TIMEOUT_MS = 600_000;

/** How long the supervisor may meet the same trouble until that is called the end; milliseconds. */
const TROUBLE_MS = 20_000;

/** Runs that fail one after the other until the sync is called broken. */
const FAILED_RUNS = 3;

/** How near it must come; seconds between a change and its arrival. */
const SETTLED_SECONDS = 10;

async function run(context: Context): Promise<PhaseOutcome> {
  const ends: Ends = { source: await context.connect('source'), target: await context.connect('target') };
  if (await isPastNoReturn(ends.source)) {
    return { message: 'nothing to do: the cutover has passed its point of no return; start cutover to go forward' };
  }
  await refuseExcluded(context);
  const { relations: all, synced: relations, problems } = await inspectCaptured(context, ends);
  await context.evidence('capture in place', problems.size === 0, 'inspectCapture', [...problems.values()]);
  if (problems.size > 0) {
    const isGone = [...problems.keys()].every((name) => !all.some((relation) => relation.sql === name));
    const wayOn = isGone ? 'start capture, then sync again' : 'run cleanup and migrate again';
    throw new Failure(`changes may have been missed: ${[...problems.values()].join('; ')}; ${wayOn}`);
  }
  await watchIdentities(context, ends);
  const idle = await tellIdleHandlers(context);
  const settings = await settingsOf(context, ends.source, relations);
  const isTold = (await context.state.fact(SETTINGS_FACT)) === settings;
  const goesOn = isTold && supervisorRuns(context.config) && bucardoRuns(context.config.host);
  const isBuilt = await constraintsStand(context, ends.target);
  const caughtUp = goesOn && isBuilt ? 0 : await begin(context, ends);
  await settle(context, ends, relations);
  await context.state.setFact(PROBLEM_FACT, null);
  const lag = await readLag(ends.source, relations);
  const syncs = Object.keys((await context.state.fact<Plan>(PLAN_FACT)) ?? {}).length;
  await context.evidence('sync is near', true, 'readLag', lag);
  return {
    message: `${caughtUp} keys caught up; Bucardo replicates ${relations.length} relations${inSyncs(syncs)}, ${lag.seconds.toFixed(1)} s behind${neverRun(idle)}${await isWaiting(context)}`,
    result: { relations: relations.length, keys: caughtUp, lagSeconds: lag.seconds, syncs },
  };
}

/**
 * Whether nothing of the schema is left to be made. The target has the last word: it may have been put back to an earlier time.
 */
export async function constraintsStand(context: Context, target: Client): Promise<boolean> {
  const { state, config } = context;
  if (!(await state.fact(CONSTRAINTS_FACT))) return false;
  const isLost = !existsSync(schemaArchive(config.host.stateDirectory));
  if (isLost || (await missingConstraints(context, target)) === 0) return true;
  await state.setFact(CONSTRAINTS_FACT, false);
  return false;
}

const neverRun = (idle: readonly string[]): string =>
  idle.length > 0 ? `; handlers for conflicts never run in one direction: ${idle.join(', ')}` : '';

/** Of a table that is being taken in, or whose taking in was killed. */
const isWaiting = async ({ state }: Context): Promise<string> =>
  (await state.fact(CONSTRAINTS_FACT)) ? '' : '; keys and constraints of tables that are not copied yet wait for add';

const inSyncs = (count: number): string => (count > 1 ? ` in ${count} syncs` : '');

async function begin(context: Context, ends: Ends): Promise<number> {
  const wasWanted = (wantedDirection(context.config) ?? heldDirection(context.config)) !== undefined;
  try {
    await holdSupervisor(context.config);
    await beginMeasuring(context, ends);
    const keys = await catchUpAndBuild(context, ends);
    await handOver(context);
    return keys;
  } catch (error) {
    // Until that is mended, changes must not pile up that were applied before.
    if (wasWanted) await handOver(context).catch((err: unknown) => context.log.error({ err }, 'the sync stands still'));
    throw error;
  }
}

async function catchUpAndBuild(context: Context, ends: Ends): Promise<number> {
  const { lease, relations } = await takeOverSynced(context, ends);
  const catchUp = new CatchUp(context, relations, lease);
  const threshold = context.config.sync.handoverKeys;
  try {
    const keys = await catchUp.until(ends.source, threshold);
    if (await context.state.fact(CONSTRAINTS_FACT)) return keys;
    const closing = await catchUp.toOneSnapshot(ends.source);
    const { built, left } = await buildConstraints(context, ends.target, closing.restless);
    await context.state.setFact(CONSTRAINTS_FACT, left === 0);
    context.log.info({ built, left }, 'constraints stand');
    return keys + closing.keys + (await catchUp.until(ends.source, threshold));
  } finally {
    await catchUp.close();
  }
}

async function handOver(context: Context): Promise<void> {
  await context.state.setFact(TROUBLE_FACT, null);
  // Until the supervisor has made another one, what Bucardo has run says nothing of this start.
  await context.state.setFact(PLAN_FACT, {});
  await startSupervisor(context.config);
}

/** Waits until Bucardo has applied changes and is near the source. Throws Failure when that does not come. */
export async function settle(context: Context, ends: Ends, relations: readonly Relation[]): Promise<void> {
  const began = Date.now();
  // It is told of the relations before its start, and asks as much of each then.
  const timeout = SETTLE_TIMEOUT_MS + 2 * startTimeout(relations.length);
  for (;;) {
    const lag = await readLag(ends.source, relations);
    const runs = await appliedByBucardo(context.config.host);
    context.progress.report(
      runs.rows,
      0,
      'rows by Bucardo',
      `${lag.changes} changes, ${lag.seconds.toFixed(1)} s behind`,
    );
    const isPlanned = Object.keys((await context.state.fact<Plan>(PLAN_FACT)) ?? {}).length > 0;
    if (isPlanned && runs.finished > 0 && lag.seconds <= SETTLED_SECONDS) return;
    // Until then they are those of the Bucardo before this one, which `add` may have found unable to apply.
    if (isPlanned && runs.failed >= FAILED_RUNS)
      throw new Failure(`Bucardo cannot apply: ${oneLine(runs.lastError).slice(0, 600)}`);
    const trouble = await context.state.fact<Trouble | null>(TROUBLE_FACT);
    if (trouble && Date.now() - trouble.since > TROUBLE_MS) {
      throw new Failure(`the sync does not start: ${trouble.message}`);
    }
    const waited = Date.now() - began;
    if (waited > timeout) {
      throw new Failure(
        `Bucardo is ${lag.seconds.toFixed(0)} s behind and has not come near in ${Math.round(waited / 1000)} s: ${lastWords(context.config.host)}`,
      );
    }
    await sleep(500);
  }
}

/** Catches up, builds constraints at one instant, and hands over to Bucardo under its supervisor. */
export const sync: Phase = {
  name: 'sync',
  after: ['capture', ['restore', 'copy']],
  mayStart: requireNoMove,
  once: false,
  braked: true,
  run,
};
