import type { Approver } from './actions/approve';
import type { Outcome } from './actions/definition';
import type { AwsEndpoint } from './aws-api';
import type { CommandHost } from './command-host';
import type { Sleep } from './clock';
import type { SsmDocument, Step } from './document';
import type { ParameterValues } from './parameters';
import type { AutomationEvent, ExecutionResult, StepRecord } from './result';
import type { Scope } from './scope';

/** What an account offers to the executions in it. */
export interface Services {
  readonly documents: ReadonlyMap<string, SsmDocument>;
  readonly host: CommandHost;
  readonly approve: Approver;
  readonly sleep: Sleep;
  readonly region: string;
  /** Who answers the calls of runbooks that name a service. */
  readonly aws: AwsEndpoint | undefined;
  readonly emit: (event: AutomationEvent) => void;
}

/** An execution as its parent sees it. */
export interface RunningExecution {
  readonly id: string;
  readonly done: Promise<ExecutionResult>;
  cancel(): void;
}

/** What an action works with during one attempt. */
export interface StepContext {
  readonly services: Services;
  readonly scope: Scope;
  /** Raised when the attempt shall end: time-out or cancel. */
  readonly signal: AbortSignal;
  /** Replaces the references in a value. */
  readonly resolve: (value: unknown) => unknown;
  /** The step's inputs with their references replaced and their forms checked. */
  readonly inputs: () => Readonly<Record<string, unknown>>;
  /** Starts another runbook below this step. */
  readonly startChild: (documentName: string, parameters: ParameterValues) => RunningExecution;
  /** Runs steps within this one. */
  readonly runInner: (
    steps: readonly Step[],
    iteration: number,
  ) => Promise<{ readonly records: readonly StepRecord[]; readonly ending: Outcome }>;
  /** Keeps records with the step's own. */
  readonly noteIteration: (records: readonly StepRecord[]) => void;
  readonly noteChild: (result: ExecutionResult) => void;
}
