import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { forwardSequences, readSequences } from '../cutover/sequences';
import { qualified } from '../sql';

type Sequence = Awaited<ReturnType<typeof readSequences>>[number];

/**
 * What is wrong with the target's sequences, each a sentence: missing or behind. One that cycles is never behind. Their
 * definitions are compared with the catalogs.
 */
export function sequencesBehind(source: readonly Sequence[], target: readonly Sequence[]): string[] {
  const name = ({ schema, name: own }: Sequence): string => qualified(schema, own);
  const there = new Map(target.map((sequence) => [name(sequence), sequence]));
  return source.flatMap((here) => {
    const other = there.get(name(here));
    if (!other) return [`sequence ${name(here)} is missing on the target`];
    return isBehind(here, other)
      ? [`sequence ${name(here)} is behind: ${here.last} on the source, ${other.last} on the target`]
      : [];
  });
}

function isBehind(here: Sequence, there: Sequence): boolean {
  if (here.cycle) return false;
  const ahead = (BigInt(there.last) - BigInt(here.last)) * (BigInt(here.increment) < 0n ? -1n : 1n);
  // A value that was given out is behind the same value to come.
  return ahead < 0n || (ahead === 0n && here.called && !there.called);
}

/**
 * Puts the target's sequences ahead, as the cutover will, and looks whether each of them is: a sequence that cannot be
 * forwarded is found before writes are stopped. Returns what is wrong.
 */
export async function verifySequences(source: Client, target: Client, config: AgentConfig): Promise<string[]> {
  const before = await readSequences(source, config);
  const known = sequencesBehind(before, await readSequences(target, config)).filter((one) =>
    one.endsWith('missing on the target'),
  );
  if (known.length > 0) return known;
  await forwardSequences(source, target, config);
  return sequencesBehind(before, await readSequences(target, config));
}
