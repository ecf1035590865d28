import type { AgentConfig } from './config';
import { State } from './state';
import { LAG_FACT } from './sync/beat';
import { standingProblems, TROUBLE_FACT, type Trouble } from './sync/facts';
import { PLAN_FACT } from './sync/plan';
import { wantedDirection } from './sync/supervisor-job';

/** One figure for CloudWatch. */
export interface Metric {
  readonly name: 'SyncProblems' | 'WayBackProblems' | 'SyncBehind' | 'SyncRestarts' | 'SyncTakeovers';
  readonly unit: 'Count' | 'Seconds';
  readonly value: number;
}

/**
 * How the sync does, from the host's own memory alone: neither end is asked. Empty before there was a sync.
 *
 * - SyncProblems, WayBackProblems: what stands against a cutover, and against a rollback;
 * - SyncBehind: the lag of the sync that is farthest behind, or for how long its supervisor cannot work if that is more;
 * - SyncRestarts, SyncTakeovers: how often Bucardo, or one sync of it, was started anew, and how often catch-up took
 *   over, since the migration began.
 */
export async function metrics(config: AgentConfig): Promise<Metric[]> {
  const state = await State.open(config.host);
  try {
    if ((await state.fact(PLAN_FACT)) === undefined) return [];
    const counters = await state.counters();
    const direction = wantedDirection(config);
    const facing = state.facing(direction ?? 'forward');
    const trouble = direction === undefined ? null : await facing.fact<Trouble | null>(TROUBLE_FACT);
    const lag = direction === 'forward' ? ((await state.fact<Record<string, number>>(LAG_FACT)) ?? {}) : {};
    const stuck = trouble ? (Date.now() - trouble.since) / 1000 : 0;
    return [
      { name: 'SyncProblems', unit: 'Count', value: (await standingProblems(state)).length },
      { name: 'WayBackProblems', unit: 'Count', value: (await standingProblems(state.facing('back'))).length },
      { name: 'SyncBehind', unit: 'Seconds', value: Math.round(Math.max(0, stuck, ...Object.values(lag))) },
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
