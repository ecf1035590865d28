import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { Switches } from '../switch/switches';
import type { AwsAccount } from './aws-account';

/** What a gate says: nothing in the way, something to know, or something that forbids the cutover. */
export type Verdict = 'pass' | 'warn' | 'block';

/** What a gate may look at. */
export interface Look {
  readonly context: Context;
  readonly source: Client;
  readonly target: Client;
  /** The relations that are migrated, as the source has them. */
  readonly relations: readonly Relation[];
  /** The target's account; absent where the target is not described as one of AWS. */
  readonly aws: AwsAccount | undefined;
  readonly switches: Switches;
  /** Whether the cutover asks, right before it stops writes. */
  readonly freezing: boolean;
}

/** What a gate was answered. */
export interface Answer {
  readonly verdict: Verdict;
  /** The figure, in words, such as `3 s behind`. */
  readonly figure: string;
  /** What to do; of warnings and blocks. */
  readonly todo?: string;
  /** The whole answer, for the evidence. */
  readonly result: unknown;
}

/** One condition of the cutover. */
export interface Gate {
  readonly name: string;
  /** What is asked, for the evidence: SQL, an API call or the name of the function. */
  readonly query: string;
  /** Whether it is quick enough, and changes quickly enough, to be asked again right before the freeze. */
  readonly again: boolean;
  /** Whether it has no meaning for a rollback, or must not stand in its way. */
  readonly forwardOnly: boolean;
  readonly ask: (look: Look) => Promise<Answer>;
}

export const pass = (figure: string, result: unknown): Answer => ({ verdict: 'pass', figure, result });
export const warn = (figure: string, todo: string, result: unknown): Answer => ({
  verdict: 'warn',
  figure,
  todo,
  result,
});
export const block = (figure: string, todo: string, result: unknown): Answer => ({
  verdict: 'block',
  figure,
  todo,
  result,
});

/** Names that one figure holds. */
const NAMED = 5;

/** The first of many, and how many more. */
export function firstOf(names: readonly string[]): string {
  const rest = names.length - NAMED;
  return [...names.slice(0, NAMED), ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
}
