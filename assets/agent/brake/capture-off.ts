import { Failure } from '../errors';
import type { State } from '../state';

/** Fact of why capture was taken off; null while it is not. */
export const OFF_FACT = 'capture.off';

/** Why capture was taken off, or undefined. */
export async function takenOff(state: State): Promise<string | undefined> {
  return (await state.fact<{ reason: string } | null>(OFF_FACT))?.reason;
}

/** What every phase says then. */
export const refusal = (reason: string): Failure =>
  new Failure(`capture was taken off because ${reason}; run cleanup and migrate again`);
