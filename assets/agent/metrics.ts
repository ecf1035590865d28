import { takenOff } from './brake/capture-off';
import type { AgentConfig } from './config';
import type { Direction } from './endpoints';
import { State } from './state';
import { LAG_FACT, type SeenLag } from './sync/beat';
import { standingProblems, TROUBLE_FACT, type Trouble } from './sync/facts';
import { PLAN_FACT } from './sync/plan';
import { relationProblems } from './sync/relation-problems';
import { heldDirection, ifTold, wantedDirection, wantedSince } from './sync/supervisor-job';

/** One figure for CloudWatch. */
export interface Metric {
  readonly name: 'SyncProblems' | 'WayBackProblems' | 'SyncBehind' | 'SyncRestarts' | 'SyncTakeovers';
  readonly unit: 'Count' | 'Seconds';
  readonly value: number;
}

/**
 * How the sync does, from the host's own memory alone: neither end is asked. Empty before there was a sync, unless
 * capture was taken off.
 *
 * - SyncProblems, WayBackProblems: what stands against a cutover, and against a rollback, and the relations that were
 *   found different, or cannot be compared, in the direction that is synced;
 * - SyncBehind: the lag of the sync that is farthest behind, with the time since that was seen; or for how long its
 *   supervisor cannot work, if that is more. It counts on while a run of ours has stopped the sync, or has died at that;
 * - SyncRestarts, SyncTakeovers: how often Bucardo, or one sync of it, was started anew, and how often catch-up took
 *   over, since the migration began.
 */
export async function metrics(config: AgentConfig): Promise<Metric[]> {
  const state = await State.open(config.host);
  try {
    const begun = (await state.fact(PLAN_FACT)) !== undefined;
    if (!begun && (await takenOff(state)) === undefined) return [];
    const counters = await state.counters();
    return [
      { name: 'SyncProblems', unit: 'Count', value: await problems(config, state, 'forward') },
      { name: 'WayBackProblems', unit: 'Count', value: await problems(config, state, 'back') },
      { name: 'SyncBehind', unit: 'Seconds', value: Math.round(await behind(config, state)) },
      {
        name: 'SyncRestarts',
        unit: 'Count',
        value: Math.max(0, (counters['bucardo.starts'] ?? 0) - 1) + (counters['bucardo.sync-restarts'] ?? 0),
      },
      { name: 'SyncTakeovers', unit: 'Count', value: counters['sync.takeovers'] ?? 0 },
    ];
  } finally {
    await state.close();
  }
}

async function problems(config: AgentConfig, state: State, direction: Direction): Promise<number> {
  const facing = state.facing(direction);
  const standing = await standingProblems(facing);
  // Marks of rows are of both directions, and what another direction left of relations is no news.
  const isSynced = ifTold(() => wantedDirection(config)) === direction;
  const ofRelations = isSynced ? await relationProblems(facing) : [];
  return standing.length + ofRelations.length;
}

/** Seconds. What was seen before this sync was asked for says nothing of it. */
async function behind(config: AgentConfig, state: State): Promise<number> {
  const since = wantedSince(config);
  if (since === undefined) return 0;
  // Where the direction cannot be told, nobody applies anything, and the figure must go on rising.
  const direction = ifTold(() => wantedDirection(config) ?? heldDirection(config));
  const facing = state.facing(direction ?? 'forward');
  const seen = await facing.fact<SeenLag>(LAG_FACT);
  const trouble = await facing.fact<Trouble | null>(TROUBLE_FACT);
  const now = Date.now();
  const isOfThisSync = seen !== undefined && seen.at >= since;
  const lag = isOfThisSync ? Math.max(0, ...Object.values(seen.lag)) : 0;
  const age = (now - (isOfThisSync ? seen.at : since)) / 1000;
  return Math.max(0, lag + age, trouble ? (now - trouble.since) / 1000 : 0);
}
