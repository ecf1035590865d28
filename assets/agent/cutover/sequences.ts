import type { Client } from 'pg';
import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import type { AgentConfig } from '../config';
import { sql } from '../sql';

/** A sequence as the source has it. */
interface Sequence {
  readonly schema: string;
  readonly name: string;
  readonly last: string | null;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cycle: boolean;
}

const SEQUENCES = sql`
  SELECT schemaname AS schema, sequencename AS name, last_value::text AS last, increment_by::text AS increment,
    min_value::text AS min, max_value::text AS max, cycle
  FROM pg_sequences WHERE ${isApplicationSchema('schemaname', '$1')}
  ORDER BY 1, 2`;

/** All sequences of the application, those of identity columns too. */
export async function readSequences(client: Client, config: AgentConfig): Promise<Sequence[]> {
  const { rows } = await client.query(SEQUENCES, [hiddenSchemas(config)]);
  return rows as Sequence[];
}

/** The value to go on from: `margin` steps ahead, within the bounds; a cycling one stays where it is. */
export function forwarded(sequence: Sequence, margin: number): bigint | undefined {
  if (sequence.last === null) return undefined;
  const last = BigInt(sequence.last);
  if (sequence.cycle) return last;
  const ahead = last + BigInt(margin) * BigInt(sequence.increment);
  const [min, max] = [BigInt(sequence.min), BigInt(sequence.max)];
  if (ahead > max) return max > last ? max : last;
  return ahead < min ? min : ahead;
}

/**
 * Puts each sequence of the target ahead of the source's, in one statement. Bucardo would set them backwards as well,
 * and dies of negative ones. Returns how many were set.
 */
export async function forwardSequences(source: Client, target: Client, config: AgentConfig): Promise<number> {
  const moved = (await readSequences(source, config)).flatMap((sequence) => {
    const value = forwarded(sequence, config.cutover.sequenceMargin);
    return value === undefined ? [] : [{ sequence, value }];
  });
  if (moved.length === 0) return 0;
  await target.query(
    `SELECT count(setval(format('%I.%I', s.schema, s.name)::regclass, s.value, true))
     FROM unnest($1::text[], $2::text[], $3::int8[]) AS s (schema, name, value)`,
    [
      moved.map(({ sequence }) => sequence.schema),
      moved.map(({ sequence }) => sequence.name),
      moved.map(({ value }) => value.toString()),
    ],
  );
  return moved.length;
}
