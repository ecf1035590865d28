/**
 * Every step of the write pause, in order; the clients wait from the first to the last. The one list of them: the time
 * line takes no other name, and the tests kill the program at each.
 */
export const PAUSE_STEPS = [
  'hold clients',
  'fence',
  'drain',
  'prove',
  'compare',
  'sequences',
  'hold snapshots',
  'switch',
  'point of no return',
  'last look',
  'open',
  'let clients go on',
] as const;

/** Every step by which a pause that failed gives the writes back. */
export const BACK_STEPS = ['give writes back', 'switch back'] as const;

/** Name of a step. */
export type StepName = (typeof PAUSE_STEPS | typeof BACK_STEPS)[number];
