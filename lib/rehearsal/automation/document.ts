/** One parameter of an Automation or Command document. */
export interface ParameterDefinition {
  readonly type: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly allowedPattern?: string;
  readonly allowedValues?: readonly unknown[];
  /** Command documents only: `ENV_VAR` hands the value over as the environment variable `SSM_<name>`. */
  readonly interpolationType?: string;
}

/** One step of a runbook. */
export interface Step {
  readonly name: string;
  readonly action: string;
  readonly description?: string;
  readonly inputs?: Readonly<Record<string, unknown>>;
  /** `Abort`, `Continue` or `step:<name>`. @default 'Abort' */
  readonly onFailure?: string;
  /** `Abort` or `step:<name>`. @default 'Abort' */
  readonly onCancel?: string;
  readonly isEnd?: boolean;
  readonly isCritical?: boolean;
  readonly nextStep?: string;
  /** @default 1 */
  readonly maxAttempts?: number;
  /** Seconds that one attempt may take. @default no limit, aws:approve: 7 days */
  readonly timeoutSeconds?: number;
}

/** A variable that aws:updateVariable may change. */
export interface VariableDefinition {
  readonly type: string;
  readonly description?: string;
  readonly default?: unknown;
}

/** An Automation runbook, schema 0.3. */
export interface AutomationDocument {
  readonly schemaVersion: '0.3';
  readonly description?: string;
  readonly assumeRole?: string;
  readonly parameters?: Readonly<Record<string, ParameterDefinition>>;
  readonly variables?: Readonly<Record<string, VariableDefinition>>;
  readonly mainSteps: readonly Step[];
  readonly outputs?: readonly string[];
}

/** A Command document, schema 2.2, with its one aws:runShellScript. */
export interface CommandDocument {
  readonly schemaVersion: '2.2';
  readonly description?: string;
  readonly parameters?: Readonly<Record<string, ParameterDefinition>>;
  readonly mainSteps: readonly Pick<Step, 'name' | 'action' | 'inputs'>[];
}

/** Any document that an Automation may name, as parsed from YAML or JSON. */
export type SsmDocument = AutomationDocument | CommandDocument;

export const isAutomation = (document: SsmDocument): document is AutomationDocument => document.schemaVersion === '0.3';

export const isCommand = (document: SsmDocument): document is CommandDocument => document.schemaVersion === '2.2';

/** A YAML or JSON mapping. */
export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
