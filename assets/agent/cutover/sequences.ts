import type { Client } from 'pg';
import { hiddenSchemas } from '../catalog/schemas';
import type { AgentConfig } from '../config';
import { literal, qualified, sql } from '../sql';
import { notOfExtension, SCHEMA } from '../verify/catalog-sql';

/** A sequence as the source has it. */
interface Sequence {
  readonly schema: string;
  readonly name: string;
  readonly last: string;
  /** Whether `last` was given out; if not, it is the value to come. */
  readonly called: boolean;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cycle: boolean;
}

const SEQUENCES = sql`
  SELECT s.schemaname AS schema, s.sequencename AS name, s.last_value::text AS last, s.increment_by::text AS increment,
    s.min_value::text AS min, s.max_value::text AS max, s.cycle
  FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename
  WHERE ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}
  ORDER BY 1, 2`;

type Listed = Omit<Sequence, 'last' | 'called'> & { readonly last: string | null };

/** The same without what only the sequence itself tells; but for those that are left out of the way back. */
export async function listSequences(client: Client, config: AgentConfig): Promise<Listed[]> {
  const { rows } = await client.query(SEQUENCES, [hiddenSchemas(config)]);
  return (rows as Listed[]).filter(({ schema, name }) => !config.leftOut?.includes(qualified(schema, name)));
}

/** All sequences of the application, those of identity columns too. */
export const readSequences = async (client: Client, config: AgentConfig): Promise<Sequence[]> =>
  withStarts(client, await listSequences(client, config));

async function withStarts(client: Client, sequences: readonly Listed[]): Promise<Sequence[]> {
  const starts = await readStarts(
    client,
    sequences.filter((sequence) => sequence.last === null),
  );
  return sequences.map((sequence) => {
    const start = starts.get(qualified(sequence.schema, sequence.name));
    return { ...sequence, last: sequence.last ?? start ?? '', called: sequence.last !== null };
  });
}

/** Those that the other end has as well. One that was made since we may not even read. */
async function onBoth(client: Client, other: Client, config: AgentConfig): Promise<Listed[]> {
  const there = new Set((await listSequences(other, config)).map(({ schema, name }) => qualified(schema, name)));
  return (await listSequences(client, config)).filter(({ schema, name }) => there.has(qualified(schema, name)));
}

/**
 * The values to come of sequences that were never called, which pg_sequences does not tell: RESTART and setval may have
 * put them elsewhere than their definition says.
 */
async function readStarts(
  client: Client,
  sequences: readonly { schema: string; name: string }[],
): Promise<Map<string, string>> {
  if (sequences.length === 0) return new Map();
  const parts = sequences.map(({ schema, name }) => {
    const sequence = qualified(schema, name);
    return `SELECT ${literal(sequence)} AS name, last_value::text AS start FROM ${sequence}`;
  });
  const { rows } = await client.query(parts.join(' UNION ALL '));
  return new Map((rows as { name: string; start: string }[]).map((row) => [row.name, row.start]));
}

/**
 * The value to go on from: `margin` steps ahead. A sequence that cycles, that was never called, or whose end the margin
 * would reach goes on exactly where the source's stands: with writes stopped, that is right as well, and put to its end
 * it would refuse the next value.
 */
export function forwarded(sequence: Sequence, margin: number): bigint {
  const last = BigInt(sequence.last);
  if (sequence.cycle || !sequence.called) return last;
  const ahead = last + BigInt(margin) * BigInt(sequence.increment);
  return ahead >= BigInt(sequence.max) || ahead <= BigInt(sequence.min) ? last : ahead;
}

/** A sequence that was put ahead. */
export interface SetSequence {
  readonly name: string;
  /** Where the source's stands. */
  readonly source: string;
  /** Where the target's stands now. */
  readonly target: string;
  /** Whether these values were given out; if not, they are the ones to come. */
  readonly called: boolean;
}

/**
 * Puts each sequence of the target ahead of the source's, in one statement. Bucardo would set them backwards as well,
 * and dies of negative ones.
 *
 * @param missing what to do about a sequence that the target has not. @default refuse
 */
export async function setSequences(
  source: Client,
  target: Client,
  config: AgentConfig,
  missing: 'refuse' | 'leave' = 'refuse',
): Promise<SetSequence[]> {
  const sequences =
    missing === 'leave'
      ? await withStarts(source, await onBoth(source, target, config))
      : await readSequences(source, config);
  if (sequences.length === 0) return [];
  const { rows } = await target.query(
    `SELECT setval(format('%I.%I', s.schema, s.name)::regclass, s.value, s.called)::text AS value
     FROM unnest($1::text[], $2::text[], $3::int8[], $4::bool[]) WITH ORDINALITY AS s (schema, name, value, called, no)
     ORDER BY s.no`,
    [
      sequences.map((sequence) => sequence.schema),
      sequences.map((sequence) => sequence.name),
      sequences.map((sequence) => forwarded(sequence, config.cutover.sequenceMargin).toString()),
      sequences.map((sequence) => sequence.called),
    ],
  );
  return sequences.map(({ schema, name, last, called }, at) => ({
    name: qualified(schema, name),
    source: last,
    target: (rows[at] as { value: string }).value,
    called,
  }));
}

/** The same; returns how many were set. */
export const forwardSequences = async (...parameters: Parameters<typeof setSequences>): Promise<number> =>
  (await setSequences(...parameters)).length;
