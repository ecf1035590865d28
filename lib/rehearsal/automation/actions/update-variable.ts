import { InputError } from '../errors';
import { LIMITS } from '../limits';
import type { Action } from './definition';

/** aws:updateVariable: gives a variable of the document a new value, without conversion. */
export const updateVariable: Action = {
  inputs: { Name: { form: 'string', required: true }, Value: { form: 'string', required: true } },
  outputs: [],
  inLoop: true,
  onCancel: false,
  problems: ({ Name }) =>
    typeof Name === 'string' && Name.startsWith('variable:') ? [] : [`Name ${String(Name)} must be variable:<name>`],
  run: async (_step, context) => {
    const { Name, Value } = context.inputs();
    if (typeof Value === 'string' && Value.length > LIMITS.parameterValue) {
      throw new InputError(`value of ${Value.length} characters; a variable holds ${LIMITS.parameterValue}`);
    }
    context.scope.setVariable(String(Name).slice('variable:'.length), Value);
    return { status: 'Success' };
  },
};
