import type { State } from '../state';
import { differentRelations } from '../verify/dirty/dirty-keys';
import type { Problems } from './facts';

/** Fact of relations whose rows a comparison as a whole found different, and that are not known to be equal since. */
export const UNEQUAL_FACT = 'sync.unequal';

/** Fact of relations whose changed keys cannot be compared. */
export const COMPARE_FACT = 'sync.compare';

/** Fact of relations whose applied changes cannot be forgotten. */
export const PURGE_FACT = 'sync.purge';

/** What `UNEQUAL_FACT` holds: rows that differ, by the relation's quoted name. */
export type Unequal = Readonly<Record<string, number>>;

/** What is wrong with single relations while they are synced, one line for each relation and kind. */
export async function relationProblems(state: State): Promise<string[]> {
  const unequal = Object.keys((await state.fact<Unequal>(UNEQUAL_FACT)) ?? {});
  const different = new Set([...(await differentRelations(state.client)), ...unequal]);
  const problems = [...different].map((name) => `rows of ${name} were found different`);
  for (const name of [COMPARE_FACT, PURGE_FACT]) {
    problems.push(...((await state.fact<Problems | null>(name))?.problems ?? []));
  }
  return problems;
}
