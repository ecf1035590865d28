import type { Comparison } from './compare';

/** Fact with what the last run of plans found. */
export const PLANS_FACT = 'plans.found';

/** What `ready` needs of it. */
export interface PlansFact {
  readonly at: string;
  readonly compared: number;
  /** Of those, measured on both ends. */
  readonly measured: number;
  readonly worse: readonly Comparison[];
  readonly failed: readonly Comparison[];
  /** Statements that could not be compared. */
  readonly unknown: number;
  /** Parameters of the planner that differ. */
  readonly parameters: readonly string[];
  /** Why pg_stat_statements gave nothing. @default it did */
  readonly without?: string;
}
