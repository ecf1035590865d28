import type { Comparison } from './compare';

/** What came out of each statement for a terminal, the worst first; nothing for those that are equal. */
export function plansTable(comparisons: readonly Comparison[]): string {
  const order = { failed: 0, worse: 1, unknown: 2, equal: 3 } as const;
  return comparisons
    .filter(({ verdict }) => verdict !== 'equal')
    .toSorted((a, b) => order[a.verdict] - order[b.verdict])
    .flatMap(({ verdict, id, statement, reasons, todo, source, target }) => [
      `${verdict.toUpperCase().padEnd(7)}  ${id}  ${statement}`,
      ...reasons.map((reason) => `         ${reason}`),
      ...(source && target && source.shape !== target.shape
        ? [`         source: ${source.shape}`, `         target: ${target.shape}`]
        : []),
      ...todo.map((one) => `         → ${one}`),
    ])
    .map((line) => `${line}\n`)
    .join('');
}
