/** How a step or an execution ended. */
export type Status = 'Success' | 'Failed' | 'TimedOut' | 'Cancelled';

/** What became of one step. */
export interface StepRecord {
  readonly name: string;
  readonly action: string;
  readonly status: Status;
  readonly attempts: number;
  /** What the last attempt gave; of a failed command too, though no reference can see that. */
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly failureMessage?: string;
  /** Of aws:loop: the steps of each iteration. */
  readonly iterations?: readonly (readonly StepRecord[])[];
  /** Of aws:executeAutomation: each execution that its attempts started. */
  readonly children?: readonly ExecutionResult[];
}

/** What became of one execution. */
export interface ExecutionResult {
  readonly id: string;
  readonly documentName: string;
  readonly status: Status;
  /** In the order in which they ran. */
  readonly steps: readonly StepRecord[];
  /** The document's outputs, by reference. */
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly failureMessage?: string;
}

/** Something that a person who watches wants to see. */
export interface AutomationEvent {
  readonly kind: 'execution-started' | 'execution-ended' | 'step-started' | 'step-ended';
  readonly at: Date;
  readonly executionId: string;
  readonly documentName: string;
  /** Names of the steps from the first execution down to here; empty for the first execution itself. */
  readonly path: readonly string[];
  /** Of a step. */
  readonly action?: string;
  /** Of a step within a loop, from 1. */
  readonly iteration?: number;
  /** Of an end. */
  readonly status?: Status;
  /** Of an end that was no success. */
  readonly failureMessage?: string;
  /** Of the end of a step. */
  readonly outputs?: Readonly<Record<string, unknown>>;
}
