import type { Client } from 'pg';
import { fenceFunction, hasLeft, readFenceState } from './objects';
import { withFenceLock } from './transaction';

/**
 * Makes the end that was left wait for its turn, so that writes can be moved back to it. Only while the other end takes
 * the writes: with both of them shut nothing would tell any more which one is to open. Returns whether it waits now.
 */
export async function letWait(left: Client, serving: Client): Promise<boolean> {
  return withFenceLock(left, async () => {
    const [state, other] = [await readFenceState(left), await readFenceState(serving)];
    const may = state?.kind === 'final' && !hasLeft(other);
    if (may) await left.query(fenceFunction({ kind: 'closed' }));
    return may || state?.kind === 'closed';
  });
}

/** Takes the end that waits off the list of those that may be opened: nothing will be moved back to it. */
export async function leaveForGood(left: Client): Promise<void> {
  await withFenceLock(left, async () => {
    if ((await readFenceState(left))?.kind === 'closed') await left.query(fenceFunction({ kind: 'final' }));
  });
}

/** Lets an end that was left for good take writes again, whatever the other one does. False where it was not left. */
export async function openForGood(left: Client): Promise<boolean> {
  return withFenceLock(left, async () => {
    const kind = (await readFenceState(left))?.kind;
    if (kind === 'final') await left.query(fenceFunction({ kind: 'open' }));
    return kind === 'final' || kind === 'open';
  });
}
