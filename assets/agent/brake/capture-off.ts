import type { Direction } from '../endpoints';
import { Failure } from '../errors';
import type { State } from '../state';

/** Fact of why capture was taken off; null while it is not. */
export const OFF_FACT = 'capture.off';

/** Why capture was taken off, or undefined. */
export async function takenOff(state: State): Promise<string | undefined> {
  return (await state.fact<{ reason: string } | null>(OFF_FACT))?.reason;
}

/**
 * What every phase says then; on the way back, a rollback.
 *
 * @param direction @default forward
 */
export const refusal = (reason: string, direction: Direction = 'forward'): Failure =>
  new Failure(
    direction === 'forward'
      ? `capture was taken off because ${reason}; run cleanup and migrate again`
      : `the way back is closed for good: capture was taken off the target because ${reason}; start finalize`,
  );
