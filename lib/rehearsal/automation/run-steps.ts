import type { Outcome } from './actions/definition';
import type { Step } from './document';
import { stepTarget } from './flow';
import type { StepRecord } from './result';
import { runStep } from './run-step';
import type { Runtime } from './runtime';

/** How a list of steps ended, and where it was when it was cancelled. */
export interface Ending extends Outcome {
  /** The step that a cancel met, if it has onCancel: step:x, names that step here. */
  readonly onCancel?: string;
}

/**
 * Runs steps one after the other, following nextStep, isEnd, onFailure and the jumps of branches. A step that failed
 * and was not aborted on counts against the end only where isCritical says so in so many words.
 *
 * @param from name of the step to begin with; default: the first
 */
export async function runSteps(
  steps: readonly Step[],
  runtime: Runtime,
  from: string | undefined = steps[0]?.name,
): Promise<{ records: StepRecord[]; ending: Ending }> {
  const records: StepRecord[] = [];
  let ending: Ending = { status: 'Success' };
  let name: string | undefined = from;
  while (name !== undefined) {
    const index = steps.findIndex((step) => step.name === name);
    const step = steps[index];
    if (!step) throw new Error(`step ${name} does not exist`);
    const { record, jump } = await runStep(step, runtime);
    records.push(record);
    const failed = record.status !== 'Success';
    const { status, failureMessage: message = '' } = record;
    const target = stepTarget(step.onCancel);
    if (runtime.signal.aborted) {
      const cancelled: Ending = { status: 'Cancelled', message: `Cancelled at step ${step.name}.` };
      return { records, ending: target === undefined ? cancelled : { ...cancelled, onCancel: target } };
    }
    if (failed && (step.onFailure ?? 'Abort') === 'Abort') return { records, ending: { status, message } };
    if (failed && step.isCritical === true && ending.status === 'Success') ending = { status, message };
    const following = steps[index + 1]?.name;
    if (jump !== undefined) name = jump;
    else if (step.isEnd === true) name = undefined;
    else if (failed) name = stepTarget(step.onFailure) ?? following;
    else name = step.nextStep ?? following;
  }
  return { records, ending };
}
