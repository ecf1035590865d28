import { ACTIONS } from './actions';
import type { Action, Outcome } from './actions/definition';
import { type Step, isMap } from './document';
import { InputError, ServiceException } from './errors';
import { formProblems } from './forms';
import type { ExecutionResult, StepRecord } from './result';
import type { Runtime } from './runtime';
import type { Scope } from './scope';
import type { StepContext } from './step-context';

/** Runs one step with all its attempts. */
export async function runStep(step: Step, runtime: Runtime): Promise<{ record: StepRecord; jump?: string }> {
  const { services, scope } = runtime;
  const startedAt = new Date();
  const place = {
    executionId: scope.executionId,
    documentName: scope.documentName,
    path: [...runtime.path, step.name],
    action: step.action,
    ...(runtime.iteration === undefined ? {} : { iteration: runtime.iteration }),
  };
  services.emit({ kind: 'step-started', at: startedAt, ...place });
  const iterations: (readonly StepRecord[])[] = [];
  const children: ExecutionResult[] = [];
  let attempts = 0;
  let outcome: Outcome;
  do {
    attempts += 1;
    outcome = await attempt(step, runtime, iterations, children);
  } while ((outcome.status === 'Failed' || outcome.status === 'TimedOut') && attempts < (step.maxAttempts ?? 1));
  const { status, outputs = {}, message, jump } = outcome;
  scope.setOutputs(step.name, status === 'Success' ? outputs : undefined);
  const failure = message === undefined ? {} : { failureMessage: message };
  const endedAt = new Date();
  services.emit({ kind: 'step-ended', at: endedAt, ...place, status, outputs, ...failure });
  const record = {
    name: step.name,
    action: step.action,
    status,
    attempts,
    outputs,
    startedAt,
    endedAt,
    ...failure,
    ...(iterations.length > 0 ? { iterations } : {}),
    ...(children.length > 0 ? { children } : {}),
  };
  return jump === undefined ? { record } : { record, jump };
}

/** Runs a step once, within its time-out. */
async function attempt(
  step: Step,
  runtime: Runtime,
  iterations: (readonly StepRecord[])[],
  children: ExecutionResult[],
): Promise<Outcome> {
  const action = ACTIONS[step.action] as Action;
  const { services, scope } = runtime;
  const seconds = step.timeoutSeconds ?? action.timeoutSeconds;
  const ended = new AbortController();
  const late = new AbortController();
  const signal = AbortSignal.any([runtime.signal, late.signal]);
  if (seconds !== undefined) {
    void services.sleep(seconds * 1000, ended.signal).then(() => {
      if (!ended.signal.aborted) late.abort();
    });
  }
  const context: StepContext = {
    services,
    scope,
    signal,
    resolve: scope.resolve,
    inputs: () => resolvedInputs(step, action, scope),
    startChild: (documentName, parameters) => runtime.startChild(step.name, documentName, parameters),
    runInner: (steps, iteration) =>
      runtime.runList(steps, { ...runtime, signal, iteration, path: [...runtime.path, step.name] }),
    noteIteration: (records) => iterations.push(records),
    noteChild: (result) => children.push(result),
  };
  let outcome: Outcome;
  try {
    outcome = await action.run(step, context);
  } catch (error) {
    if (!(error instanceof InputError) && !(error instanceof ServiceException)) throw error;
    outcome = { status: 'Failed', message: `Step ${step.name} failed: ${error.message}` };
  } finally {
    ended.abort();
  }
  if (late.signal.aborted && outcome.status !== 'Success') {
    return { ...outcome, status: 'TimedOut', message: `Step ${step.name} timed out after ${seconds} seconds.` };
  }
  if (runtime.signal.aborted && outcome.status !== 'Success') {
    return { ...outcome, status: 'Cancelled', message: `Step ${step.name} was cancelled.` };
  }
  return outcome;
}

function resolvedInputs(step: Step, action: Action, scope: Scope): Readonly<Record<string, unknown>> {
  const inputs = scope.resolve(step.inputs ?? {});
  if (!isMap(inputs)) throw new InputError('inputs must be a map');
  const problems = formProblems(action, inputs, false);
  if (problems.length > 0) throw new InputError(problems.join('; '));
  return inputs;
}
