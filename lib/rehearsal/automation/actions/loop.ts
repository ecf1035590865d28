import { conditionProblems, evaluate } from '../conditions';
import { LIMITS } from '../limits';
import type { Step } from '../document';
import type { Action } from './definition';

/** The steps within a loop. */
export const stepsOfLoop = (step: Step): readonly Step[] =>
  step.action === 'aws:loop' && Array.isArray(step.inputs?.['Steps']) ? (step.inputs['Steps'] as Step[]) : [];

/**
 * aws:loop, the do-while form: the condition is looked at after the steps. At the last iteration it ends in silence and
 * as a success, whatever the condition says.
 */
export const loop: Action = {
  inputs: {
    Steps: { form: 'list', required: true },
    LoopCondition: { form: 'map', required: true },
    MaxIterations: { form: 'integer' },
  },
  outputs: [],
  inLoop: false,
  onCancel: false,
  problems: ({ LoopCondition, MaxIterations = LIMITS.iterations }) => {
    const problems = conditionProblems(LoopCondition);
    if (typeof MaxIterations !== 'number' || MaxIterations < 1 || MaxIterations > LIMITS.iterations) {
      problems.push(`MaxIterations ${String(MaxIterations)} must be 1 to ${LIMITS.iterations}`);
    }
    return problems;
  },
  run: async (step, context) => {
    const { LoopCondition, MaxIterations = LIMITS.iterations } = step.inputs ?? {};
    for (let iteration = 1; iteration <= Number(MaxIterations); iteration += 1) {
      context.scope.setOutputs(step.name, { CurrentIteration: iteration });
      const { records, ending } = await context.runInner(stepsOfLoop(step), iteration);
      context.noteIteration(records);
      if (ending.status !== 'Success') return ending;
      if (!evaluate(LoopCondition as Record<string, unknown>, context.resolve)) break;
    }
    return { status: 'Success' };
  },
};
