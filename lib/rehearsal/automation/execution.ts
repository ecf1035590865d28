import { randomUUID } from 'node:crypto';
import { LIMITS } from './limits';
import type { AutomationDocument } from './document';
import type { ParameterValues } from './parameters';
import type { ExecutionResult, StepRecord } from './result';
import type { Runtime } from './runtime';
import { runSteps, type Ending } from './run-steps';
import { Scope } from './scope';
import { parseReference } from './references';
import type { RunningExecution, Services } from './step-context';

const NO_OUTPUT = 'No output available yet because the step is not successfully executed';

/** One run of one runbook. */
export class Execution implements RunningExecution {
  readonly id = randomUUID();
  /** Resolves at the end, whatever it is; rejects only on a defect of this interpreter. */
  readonly done: Promise<ExecutionResult>;
  private readonly canceller = new AbortController();

  /** Starts at once. `Automation.start` makes executions. */
  constructor(
    private readonly documentName: string,
    private readonly document: AutomationDocument,
    parameters: ParameterValues,
    private readonly services: Services,
    private readonly path: readonly string[],
    private readonly startChild: Runtime['startChild'],
  ) {
    const startedAt = new Date();
    const scope = new Scope(documentName, this.id, document, parameters, { region: services.region, startedAt });
    this.done = this.run(scope, startedAt);
  }

  /** Ends the running step, kills the process group of its command, and cancels the automations below. */
  cancel(): void {
    this.canceller.abort();
  }

  private async run(scope: Scope, startedAt: Date): Promise<ExecutionResult> {
    const { services } = this;
    const place = { executionId: this.id, documentName: this.documentName, path: this.path };
    services.emit({ kind: 'execution-started', at: startedAt, ...place });
    const runtime: Runtime = {
      services,
      scope,
      path: this.path,
      signal: this.canceller.signal,
      startChild: this.startChild,
      runList: runSteps,
    };
    const { records, ending } = await runSteps(this.document.mainSteps, runtime);
    const steps = [...records, ...(await this.cleanUp(runtime, ending))];
    const { status, message } = ending;
    const failure = status === 'Success' || message === undefined ? {} : { failureMessage: message };
    const endedAt = new Date();
    services.emit({ kind: 'execution-ended', at: endedAt, ...place, status, ...failure });
    const outputs = this.outputs(scope, steps);
    return { id: this.id, documentName: this.documentName, status, steps, outputs, startedAt, endedAt, ...failure };
  }

  /** Runs the steps that onCancel names, for as long as AWS allows. */
  private async cleanUp(runtime: Runtime, ending: Ending): Promise<StepRecord[]> {
    if (ending.onCancel === undefined) return [];
    const ended = new AbortController();
    const late = new AbortController();
    void this.services.sleep(LIMITS.cancelSeconds * 1000, ended.signal).then(() => late.abort());
    const { records } = await runSteps(
      this.document.mainSteps,
      { ...runtime, signal: late.signal },
      ending.onCancel,
    ).finally(() => ended.abort());
    return records;
  }

  private outputs(scope: Scope, steps: readonly StepRecord[]): Record<string, unknown> {
    const succeeded = new Set(steps.filter((step) => step.status === 'Success').map((step) => step.name));
    return Object.fromEntries(
      (this.document.outputs ?? []).map((name) => {
        const reference = parseReference(name);
        const known = reference?.kind !== 'output' || succeeded.has(reference.step);
        return [name, known ? scope.resolve(`{{ ${name} }}`) : NO_OUTPUT];
      }),
    );
  }
}
