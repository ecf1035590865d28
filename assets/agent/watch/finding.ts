import type { AgentConfig } from '../config';
import type { AwsAccount } from '../ready/aws-account';
import type { Sessions } from './sessions';
import type { Context } from '../context';

/** What one check of a look says: nothing to tell, something to know, or something that must not go on. */
export type Verdict = 'ok' | 'warn' | 'bad';

/** What a check found. */
export interface Finding {
  readonly verdict: Verdict;
  /** The figure, in words, such as `12 of 100 connections in use`. */
  readonly figure: string;
  /** Why it is no good; of warnings and of what is bad. */
  readonly cause?: string;
}

/** What a check may look at. */
export interface LookAt {
  readonly context: Context;
  readonly config: AgentConfig;
  readonly sessions: Sessions;
  /** Absent where the target is not described as one of AWS. */
  readonly aws: AwsAccount | undefined;
}

/** One thing that every look asks. */
export interface Check {
  readonly name: string;
  /** What is asked, for the evidence. */
  readonly query: string;
  /** What it means that nobody answers. */
  readonly unasked: 'warn' | 'bad';
  readonly ask: (at: LookAt) => Promise<Finding>;
}

export const ok = (figure: string): Finding => ({ verdict: 'ok', figure });
export const warn = (figure: string, cause: string): Finding => ({ verdict: 'warn', figure, cause });
export const bad = (figure: string, cause: string): Finding => ({ verdict: 'bad', figure, cause });
