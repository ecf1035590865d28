import type { Client } from 'pg';
import type { CatchUp } from '../catch-up/rounds';
import type { Context } from '../context';
import { armFence } from '../fence/triggers';
import { DRAIN_SESSIONS } from './pause';
import { untilNoneInTheWay, WAIT_MS } from '../fence/in-the-way';

/** Changes that may be left when writes are stopped; each costs the pause some microseconds. */
const NEAR = 500;

/** Rounds that come no nearer to it, after which a source that writes faster than that is stopped all the same. */
const PATIENCE = 5;

/**
 * Brings about the moment to stop writes, while they go on: the fence's triggers stand there and let everything through,
 * few changes are left, or as few as come while a round of catch-up runs, and no vacuum or DDL holds locks that would keep
 * the fence off. That is waited for within a limit, and said who is in the way; after it the fence tries all the same.
 */
export async function approach(
  context: Context,
  source: Client,
  catchUp: CatchUp,
  waitMs: number = WAIT_MS,
): Promise<void> {
  await catchUp.ready(DRAIN_SESSIONS);
  const end = performance.now() + waitMs;
  for (let waits = true; ;) {
    const busy = await armFence(source);
    if (busy.length > 0) context.log.info({ busy }, 'tables without the trigger of the fence so far');
    await catchUp.until(source, NEAR, PATIENCE);
    if (!waits) return;
    const { waited, left } = await untilNoneInTheWay(source, end - performance.now(), (inTheWay) => {
      context.log.info({ inTheWay }, 'waiting for what would keep the fence off');
      context.progress.report(0, 0, 'changes', `waiting: ${inTheWay.join('; ')}`);
    });
    if (left.length > 0) {
      const seconds = Math.round(waitMs / 1000);
      context.log.warn({ inTheWay: left }, `in the way of the fence for ${seconds} s; writes are stopped all the same`);
    } else if (!waited) return;
    waits = left.length === 0;
  }
}
