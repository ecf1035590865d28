import type { Client } from 'pg';
import { sql } from '../sql';
import type { Meaning } from './parsed';

const COLUMN = sql`
  SELECT n.nspname AS schema, c.relname AS relation, a.attname AS "column"
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.attrelid = $1 AND a.attnum = $2`;

/** The commonest value, else one of the middle; as text, so that any type's fit. */
const SAMPLE = sql`
  SELECT coalesce((most_common_vals::text::text[])[1],
    (histogram_bounds::text::text[])[(array_length(histogram_bounds::text::text[], 1) + 1) / 2]) AS value
  FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3
  ORDER BY inherited DESC LIMIT 1`;

/** Rows that a page of an application shows. */
const PAGE = '20';

/**
 * A value for each parameter, from the source's statistics of the column that it is compared with. Undefined when one has
 * none: no value is made up. They may be personal: they go into statements and nowhere else.
 */
export async function sampleValues(
  source: Client,
  target: Client,
  meanings: ReadonlyMap<number, Meaning>,
  count: number,
): Promise<string[] | undefined> {
  const values: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    const meaning = meanings.get(number);
    if (meaning === undefined) return undefined;
    const value = await sampleOf(source, target, meaning);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

async function sampleOf(source: Client, target: Client, meaning: Meaning): Promise<string | undefined> {
  if (meaning === 'limit') return PAGE;
  if (meaning === 'offset') return '0';
  const named = (await target.query(COLUMN, [meaning.relid, meaning.attnum])).rows[0] as
    { schema: string; relation: string; column: string } | undefined;
  if (!named) return undefined;
  const { rows } = await source.query(SAMPLE, [named.schema, named.relation, named.column]);
  return (rows[0] as { value: string | null } | undefined)?.value ?? undefined;
}
