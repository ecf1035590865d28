import type { Asked } from './ask';

/** The answers as a table for a terminal, the blocks first. */
export function gateTable(asked: readonly Asked[]): string {
  const width = Math.max(...asked.map(({ gate }) => gate.length));
  const order = { block: 0, warn: 1, pass: 2 } as const;
  return asked
    .toSorted((a, b) => order[a.verdict] - order[b.verdict])
    .flatMap(({ gate, verdict, figure, todo }) => [
      `${verdict.toUpperCase().padEnd(5)}  ${gate.padEnd(width)}  ${figure}`,
      ...(todo === undefined ? [] : [`${' '.repeat(width + 9)}→ ${todo}`]),
    ])
    .join('\n');
}

/** The answers in one line for a runbook. */
export function gateLine(asked: readonly Asked[]): string {
  const of = (verdict: string): readonly Asked[] => asked.filter((one) => one.verdict === verdict);
  const warnings = of('warn').map(({ gate, figure }) => `${gate} (${figure})`);
  return `${asked.length} gates: ${of('pass').length} pass, ${warnings.length} warn${warnings.length > 0 ? `: ${warnings.join('; ')}` : ''}`;
}
