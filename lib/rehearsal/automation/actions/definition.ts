import type { Step } from '../document';
import type { StepContext } from '../step-context';

/** How one attempt of a step ended. */
export interface Outcome {
  readonly status: 'Success' | 'Failed' | 'TimedOut' | 'Cancelled';
  /** What later steps can refer to; seen only when the step succeeded. */
  readonly outputs?: Readonly<Record<string, unknown>>;
  /** Why it did not succeed. */
  readonly message?: string;
  /** Where to go on, when the action itself decides it. */
  readonly jump?: string;
}

/** Form of one input. A value that is a single reference is looked at only while it runs. */
export type InputForm = 'string' | 'strings' | 'integer' | 'boolean' | 'map' | 'list';

/** One action: what a runbook may say to it, and what it does. */
export interface Action {
  readonly inputs: Readonly<Record<string, { readonly form: InputForm; readonly required?: boolean }>>;
  /** Whether it takes inputs beside these, which are the service's own. @default false */
  readonly moreInputs?: boolean;
  /** Names of outputs. */
  readonly outputs: readonly string[];
  /** May it stand within aws:loop? */
  readonly inLoop: boolean;
  /** May it have onCancel? */
  readonly onCancel: boolean;
  /** Seconds that an attempt may take when the step does not say. @default no limit */
  readonly timeoutSeconds?: number;
  /** The most that timeoutSeconds may be. @default no limit */
  readonly longestSeconds?: number;
  /** What is wrong with the inputs beyond their form, before anything runs. */
  readonly problems?: (inputs: Readonly<Record<string, unknown>>) => string[];
  /** Steps that it may jump to. */
  readonly jumps?: (inputs: Readonly<Record<string, unknown>>) => string[];
  /** One attempt. Ends soon after `context.signal` is raised. Throws InputError or ServiceException to fail. */
  readonly run: (step: Step, context: StepContext) => Promise<Outcome>;
}
