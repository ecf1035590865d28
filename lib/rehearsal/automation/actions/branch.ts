import { conditionProblems, evaluate } from '../conditions';
import type { Action } from './definition';

const choicesOf = (inputs: Readonly<Record<string, unknown>>): Record<string, unknown>[] =>
  Array.isArray(inputs['Choices']) ? (inputs['Choices'] as Record<string, unknown>[]) : [];

/** aws:branch: the first choice that holds decides, else Default, else the next step in the list. */
export const branch: Action = {
  inputs: { Choices: { form: 'list', required: true }, Default: { form: 'string' } },
  outputs: [],
  inLoop: false,
  onCancel: false,
  problems: (inputs) =>
    choicesOf(inputs).flatMap((choice) => [
      ...conditionProblems(choice, ['NextStep']),
      ...(typeof choice['NextStep'] === 'string' ? [] : ['a choice has no NextStep']),
    ]),
  jumps: (inputs) =>
    [...choicesOf(inputs).map((choice) => choice['NextStep']), inputs['Default']].filter(
      (target) => typeof target === 'string',
    ),
  run: async (step, context) => {
    const inputs = step.inputs ?? {};
    const choice = choicesOf(inputs).find((condition) => evaluate(condition, context.resolve));
    const jump = choice?.['NextStep'] ?? inputs['Default'];
    return typeof jump === 'string' ? { status: 'Success', jump } : { status: 'Success' };
  },
};
