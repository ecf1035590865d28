import type { Context } from '../context';
import { Failure } from '../errors';

/** Name of the claim, in the state, of whoever moves writes, or takes tables in: never two at once. */
const MOVE = 'move of writes';

/** How long whoever looks after the queues, or leads clients back, may take until that is called another run; milliseconds. */
const PATIENCE_MS = 10_000;

const TAKEN =
  'cutover, rollback, finalize, add or cleanup runs already in another process, or the host leads clients back after one that died; wait for it';

/** Keeps every other run that moves writes, or ends the way back, out until this process ends. */
export async function claimMove({ state }: Context): Promise<void> {
  if (!(await state.claim(MOVE))) throw new Failure(TAKEN);
}

/** The same at once, or not at all. Returns whether it has it. */
export const tryClaimMove = ({ state }: Context): Promise<boolean> => state.claim(MOVE, 0);

/** The same of the phase sync. */
export const tryClaimSync = ({ state }: Context): Promise<boolean> => state.claim('sync', 0);

/** Throws Failure while the phase sync runs elsewhere, which looks for a move only as it starts. For who has claimed that. */
export async function requireNoSync({ state }: Context): Promise<void> {
  if (!(await state.claim('sync'))) throw new Failure('sync runs already in another process; wait for it');
  await state.release('sync');
}

/** Phases that bring something to either end, or note what they found there. */
const WORKERS = ['schema', 'capture', 'dump', 'restore', 'copy', 'sync', 'verify'];

/**
 * Keeps the phases that bring or note what a cleanup takes away out until this process ends. For who has claimed the move.
 * Throws Failure when one of them is at work.
 */
export async function keepWorkersOut({ state, phase }: Context): Promise<void> {
  for (const name of WORKERS) {
    if (!(await state.claim(name))) {
      throw new Failure(
        `${name} runs in another process; wait for it, or stop it (docs/runbooks.md, Cancel), then start ${phase} again`,
      );
    }
  }
}

/** Throws Failure while a run that moves writes is under way. Of those that could meet a sync, add and cutover ask for it in turn. */
export async function requireNoMove({ state }: Context): Promise<void> {
  if (!(await state.claim(MOVE, PATIENCE_MS))) throw new Failure(TAKEN);
  await state.release(MOVE);
}
