import { refusal, takenOff } from '../brake/capture-off';
import { oneLine } from '../errors';
import type { State } from '../state';

/**
 * Fact, in the state, of what is wrong with capture; verify and cutover refuse while it stands. On the way back, of all
 * that closes it, and a rollback refuses.
 */
export const PROBLEM_FACT = 'sync.problem';

/** Fact of what happened to the source so that it may have lost what the target has. */
export const IDENTITY_FACT = 'sync.identity';

/** Fact of tables that are not any more as they were captured. */
export const CATALOG_FACT = 'sync.catalog';

/** Fact of what keeps the supervisor from doing its work, and since when; null while it does it. */
export const TROUBLE_FACT = 'sync.trouble';

/** What the supervisor meets again and again. */
export interface Trouble {
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** Notes what keeps the supervisor from doing its work; since when it does so stays. */
export async function noteTrouble(state: State, error: unknown): Promise<void> {
  const before = await state.fact<Trouble | null>(TROUBLE_FACT);
  await state.setFact(TROUBLE_FACT, {
    message: oneLine(error),
    since: before?.since ?? Date.now(),
  } satisfies Trouble);
}

/** Problems of one kind, each in a fact of its own, so that who clears one does not clear the others. */
export interface Problems {
  /** One line each: the thing, the cause, the way on. */
  readonly problems: readonly string[];
}

/** Facts that hold `Problems` or null. */
const PROBLEM_FACTS = [PROBLEM_FACT, IDENTITY_FACT, CATALOG_FACT];

/** Everything that stands against a cutover, one line each. */
export async function standingProblems(state: State): Promise<string[]> {
  const off = await takenOff(state);
  const problems = off === undefined ? [] : [refusal(off, state.direction).message];
  for (const name of PROBLEM_FACTS) problems.push(...((await state.fact<Problems | null>(name))?.problems ?? []));
  return problems;
}
