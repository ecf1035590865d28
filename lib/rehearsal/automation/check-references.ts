import { ACTIONS } from './actions';
import { stepsOfLoop } from './actions/loop';
import type { AutomationDocument, Step } from './document';
import { parseReference, referencesIn, SYSTEM_VARIABLES } from './references';

/** References of a document that stand for nothing: no such parameter, variable, or output of an earlier step. */
export function referenceProblems(document: AutomationDocument): string[] {
  const seen = new Map<string, readonly string[]>();
  const problems: string[] = [];
  const look = (where: string, value: unknown): void => {
    for (const text of referencesIn(value)) {
      if (!stands(document, seen, text)) problems.push(`${where}: {{ ${text} }} stands for nothing here`);
    }
  };
  const lookThrough = (steps: readonly Step[]): void => {
    for (const step of steps) {
      const inner = stepsOfLoop(step);
      const { Steps: _, LoopCondition, ...inputs } = step.inputs ?? {};
      look(`step ${step.name}`, inputs);
      if (inner.length > 0) {
        // AWS documents these outputs within the loop and its condition only, so nothing after it may rely on them.
        seen.set(step.name, ['CurrentIteration']);
        lookThrough(inner);
        look(`step ${step.name}`, LoopCondition);
        for (const { name } of [step, ...inner]) seen.delete(name);
      }
      if (inner.length === 0) seen.set(step.name, ACTIONS[step.action]?.outputs ?? []);
    }
  };
  look('assumeRole', document.assumeRole);
  lookThrough(document.mainSteps);
  for (const output of document.outputs ?? []) look('outputs', `{{ ${output} }}`);
  return problems;
}

function stands(document: AutomationDocument, seen: ReadonlyMap<string, readonly string[]>, text: string): boolean {
  const reference = parseReference(text);
  switch (reference?.kind) {
    case undefined:
      return false;
    case 'parameter':
      return Object.hasOwn(document.parameters ?? {}, reference.name);
    case 'variable':
      return Object.hasOwn(document.variables ?? {}, reference.name);
    case 'output':
      return seen.get(reference.step)?.includes(reference.name) ?? false;
    case 'global':
    case 'automation':
      return (SYSTEM_VARIABLES[reference.kind] as readonly string[]).includes(reference.name);
  }
}
