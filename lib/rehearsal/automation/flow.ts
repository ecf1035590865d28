import { ACTIONS } from './actions';
import type { Step } from './document';

/** The step that `step:x` names; undefined for Abort and Continue. */
export const stepTarget = (value: string | undefined): string | undefined =>
  value?.startsWith('step:') === true ? value.slice('step:'.length) : undefined;

/** Every step that can follow this one. */
function successors(steps: readonly Step[], index: number): string[] {
  const step = steps[index];
  if (!step) return [];
  const jumps = ACTIONS[step.action]?.jumps?.(step.inputs ?? {}) ?? [];
  const decided = typeof step.inputs?.['Default'] === 'string' && jumps.length > 0;
  const onward = step.isEnd === true || decided ? undefined : (step.nextStep ?? steps[index + 1]?.name);
  const failed = step.isEnd === true ? undefined : stepTarget(step.onFailure);
  return [...jumps, onward, failed, stepTarget(step.onCancel)].filter((name) => name !== undefined);
}

/** What is wrong with the ways between steps: targets that do not exist, circles, steps that nothing leads to. */
export function flowProblems(steps: readonly Step[]): string[] {
  const at = new Map(steps.map((step, index) => [step.name, index]));
  const missing = steps.flatMap((step, index) =>
    successors(steps, index)
      .filter((target) => !at.has(target))
      .map((target) => `step ${step.name}: there is no step ${target}`),
  );
  if (missing.length > 0) return missing;
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (name: string, way: readonly string[]): void => {
    if (way.includes(name))
      circles.push(`steps run in a circle: ${[...way.slice(way.indexOf(name)), name].join(' → ')}`);
    if (done.has(name)) return;
    done.add(name);
    for (const next of successors(steps, at.get(name) ?? -1)) visit(next, [...way, name]);
  };
  if (steps[0]) visit(steps[0].name, []);
  return [
    ...circles,
    ...steps.filter((step) => !done.has(step.name)).map((step) => `step ${step.name}: no step leads here`),
  ];
}
