import type { Outcome } from './actions/definition';
import type { Step } from './document';
import type { ParameterValues } from './parameters';
import type { StepRecord } from './result';
import type { Scope } from './scope';
import type { RunningExecution, Services } from './step-context';

/** What the steps of one execution share. */
export interface Runtime {
  readonly services: Services;
  readonly scope: Scope;
  /** Raised when the execution, or the step around this one, shall end. */
  readonly signal: AbortSignal;
  /** Names of the steps that led here. */
  readonly path: readonly string[];
  /** Of the steps within a loop. */
  readonly iteration?: number;
  /** Runs steps with this or a narrower runtime; handed in so that a step can hold steps. */
  readonly runList: (steps: readonly Step[], runtime: Runtime) => Promise<{ records: StepRecord[]; ending: Outcome }>;
  readonly startChild: (step: string, documentName: string, parameters: ParameterValues) => RunningExecution;
}
