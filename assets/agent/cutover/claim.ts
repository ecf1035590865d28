import type { Context } from '../context';
import { Failure } from '../errors';

/** Name of the claim, in the state, of whoever moves writes, or says who applies them: never two at once. */
const MOVE = 'move of writes';

/** Keeps every other run that moves writes, begins to apply them, or ends the way back, out until this process ends. */
export async function claimMove({ state }: Context): Promise<void> {
  if (await state.claim(MOVE)) return;
  throw new Failure(
    'cutover, rollback, finalize, sync, add or cleanup runs already in another process, or the host leads clients back after one that died; wait for it',
  );
}

/** The same at once, or not at all. Returns whether it has it. */
export const tryClaimMove = ({ state }: Context): Promise<boolean> => state.claim(MOVE, 0);
