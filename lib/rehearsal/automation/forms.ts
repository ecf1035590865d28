import type { Action, InputForm } from './actions/definition';
import { isMap } from './document';
import { isReference } from './references';

const FORMS: Readonly<Record<InputForm, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  strings: (value) => Array.isArray(value) && value.every((item) => typeof item === 'string'),
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  map: isMap,
  list: Array.isArray,
};

/**
 * What is wrong with the names and forms of a step's inputs.
 *
 * @param whole true before anything runs: an input that is one reference is passed over, since its form is not known yet
 */
export function formProblems(action: Action, inputs: Readonly<Record<string, unknown>>, whole: boolean): string[] {
  const problems = Object.keys(inputs)
    .filter((name) => action.moreInputs !== true && !Object.hasOwn(action.inputs, name))
    .map((name) => `input ${name} is not known`);
  for (const [name, { form, required }] of Object.entries(action.inputs)) {
    const value = inputs[name];
    if (value === undefined) {
      if (required === true) problems.push(`input ${name} is missing`);
    } else if (!(whole && isReference(value)) && !FORMS[form](value)) {
      problems.push(`input ${name} must be of the form ${form}, not ${JSON.stringify(value)}`);
    }
  }
  return problems;
}
