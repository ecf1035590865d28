import type { Mistakes } from './check';
import type { ResolvedSettings } from './types';

/** Checks one combination of fields; only called when each of them is right by itself. */
export type Combination = readonly [
  fields: readonly string[],
  check: (settings: ResolvedSettings, mistakes: Mistakes) => void,
];
