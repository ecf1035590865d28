import { ACTIONS } from './actions';
import { stepsOfLoop } from './actions/loop';
import { referenceProblems } from './check-references';
import type { AutomationDocument, Step } from './document';
import { flowProblems, stepTarget } from './flow';
import { formProblems } from './forms';
import { LIMITS } from './limits';
import { parameterProblems } from './parameters';

const DOCUMENT_KEYS = ['schemaVersion', 'description', 'assumeRole', 'parameters', 'variables', 'mainSteps', 'outputs'];
const STEP_KEYS =
  'name action description inputs onFailure onCancel isEnd isCritical nextStep maxAttempts timeoutSeconds'.split(' ');

/**
 * Everything in a runbook that AWS would refuse, or that this interpreter does not know how to run as AWS would; empty
 * for a runbook that can be run.
 */
export function documentProblems(document: AutomationDocument): string[] {
  const steps = document.mainSteps;
  if (!Array.isArray(steps) || steps.length === 0) return ['mainSteps must be a list of steps'];
  const names = steps.flatMap((step: Step) => [step, ...stepsOfLoop(step)]).map((step: Step) => step.name);
  const problems = [
    ...Object.keys(document)
      .filter((key) => !DOCUMENT_KEYS.includes(key))
      .map((key) => `property ${key} is not known`),
    ...(document.schemaVersion === '0.3' ? [] : [`schemaVersion ${String(document.schemaVersion)} is not 0.3`]),
    ...sizeProblems(document),
    ...parameterProblems(document.parameters ?? {}),
    ...names
      .filter((name: string, index: number) => names.indexOf(name) !== index)
      .map((name: string) => `step ${name}: the name is used twice`),
    ...steps.flatMap((step: Step) => stepProblems(step, false)),
  ];
  return problems.length > 0 ? problems : [...flowProblems(steps), ...referenceProblems(document)];
}

/** Says if a document, with the parameters of an execution, is too large. */
export function sizeProblems(document: AutomationDocument, parameters: unknown = {}): string[] {
  const bytes = Buffer.byteLength(JSON.stringify(document)) + Buffer.byteLength(JSON.stringify(parameters));
  return bytes > LIMITS.documentBytes
    ? [`${bytes} bytes with the parameters; ${LIMITS.documentBytes} are allowed`]
    : [];
}

function stepProblems(step: Step, inLoop: boolean): string[] {
  const say = (problem: string): string => `step ${step.name}: ${problem}`;
  if (!/^[A-Za-z0-9_]+$/.test(step.name)) return [say('a name has letters, digits and _ only')];
  const action = ACTIONS[step.action];
  if (!action) return [say(`action ${step.action} is not known`)];
  const inputs = step.inputs ?? {};
  const problems = [
    ...Object.keys(step)
      .filter((key) => !STEP_KEYS.includes(key))
      .map((key) => `property ${key} is not known`),
    ...formProblems(action, inputs, true),
  ];
  if (problems.length === 0) problems.push(...(action.problems?.(inputs) ?? []));
  problems.push(...propertyProblems(step), ...(inLoop ? innerProblems(step) : []));
  return [...problems.map(say), ...stepsOfLoop(step).flatMap((inner) => stepProblems(inner, true))];
}

function propertyProblems(step: Step): string[] {
  const action = ACTIONS[step.action];
  const { onFailure = 'Abort', onCancel, isCritical, maxAttempts = 1, timeoutSeconds } = step;
  const jumpOnFailure = stepTarget(onFailure) !== undefined;
  const problems: string[] = [];
  if (!jumpOnFailure && onFailure !== 'Abort' && onFailure !== 'Continue') {
    problems.push(`onFailure ${onFailure} must be Abort, Continue or step:<name>`);
  }
  if (onFailure === 'Continue' && step.nextStep !== undefined) {
    problems.push('nextStep is documented for success only, so it must not stand beside onFailure: Continue');
  }
  if (isCritical === false && onFailure === 'Abort') {
    problems.push('isCritical: false needs onFailure: Continue or step:<name>');
  }
  if (step.action === 'aws:loop' && onFailure !== 'Abort') {
    problems.push('onFailure of aws:loop is used for unexpected errors only; set it on the steps within');
  }
  if (onCancel !== undefined) {
    if (action?.onCancel !== true) problems.push(`${step.action} has no onCancel`);
    if (onCancel !== 'Abort' && stepTarget(onCancel) === undefined) problems.push(`onCancel ${onCancel} is not known`);
  }
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1) problems.push(`maxAttempts ${maxAttempts} must be 1 or more`);
  if (timeoutSeconds !== undefined) {
    const longest = action?.longestSeconds ?? Infinity;
    if (!Number.isInteger(timeoutSeconds) || timeoutSeconds < 1 || timeoutSeconds > longest) {
      problems.push(`timeoutSeconds ${timeoutSeconds} must be 1${longest < Infinity ? ` to ${longest}` : ' or more'}`);
    }
  }
  return problems;
}

/** What a step within aws:loop cannot be or have. */
function innerProblems(step: Step): string[] {
  const problems = ACTIONS[step.action]?.inLoop === true ? [] : [`${step.action} cannot stand within aws:loop`];
  for (const key of ['isEnd', 'nextStep', 'onCancel'] as const) {
    if (step[key] !== undefined) problems.push(`${key} is not known within aws:loop`);
  }
  if (stepTarget(step.onFailure) !== undefined) problems.push('onFailure: step:<name> is not known within aws:loop');
  return problems;
}
