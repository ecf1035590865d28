import { oneLine } from '../errors';
import { block, type Answer, type Gate, type Look } from './gate';

/** A gate with its answer. */
export interface Asked extends Answer {
  readonly gate: string;
}

/**
 * Asks every gate, also after one that blocks, and keeps each answer as evidence. A gate that cannot be asked blocks:
 * what is not known is not given.
 */
export async function askAll(gates: readonly Gate[], look: Look): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const [index, gate] of gates.entries()) {
    look.context.progress.report(index, gates.length, 'gates', gate.name);
    const began = performance.now();
    const answer = await gate.ask(look).catch((error: unknown) => {
      look.context.log.warn({ err: error, gate: gate.name }, 'gate cannot be asked');
      return block(`cannot be asked: ${oneLine(error)}`, 'mend that and start ready again', null);
    });
    const { verdict, figure, todo, result } = answer;
    await look.context.evidence(gate.name, verdict !== 'block', gate.query, {
      verdict,
      figure,
      ...(todo !== undefined && { todo }),
      ms: Math.round(performance.now() - began),
      result,
    });
    asked.push({ gate: gate.name, ...answer });
  }
  return asked;
}

/** Those that forbid the cutover, in one line; undefined when none does. */
export function blocked(asked: readonly Asked[]): string | undefined {
  const lines = asked
    .filter(({ verdict }) => verdict === 'block')
    .map(({ gate, figure, todo }) => `${gate}: ${figure}; ${todo ?? ''}`);
  return lines.length === 0 ? undefined : lines.join(' | ');
}
