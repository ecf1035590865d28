import type { Client } from 'pg';
import { ident, literal, sql } from '../sql';
import type { Key, KeyColumn, Relation } from './relations';

/** Types whose values every server sorts alike: no collation, no rounding, no order of a user's making. */
const ORDERED_ALIKE = new Set([
  'smallint',
  'integer',
  'bigint',
  'numeric',
  'uuid',
  'date',
  'timestamp without time zone',
  'timestamp with time zone',
  'bytea',
  'boolean',
]);

/** A part of a relation by its key: after `after`, up to and including `upTo`; absent means without end. */
export interface KeyRange {
  readonly after?: readonly string[];
  readonly upTo?: readonly string[];
}

/** Types whose bare names mean a length of one, with those that mean any. */
const OF_ANY_LENGTH: Readonly<Record<string, string>> = { character: 'pg_catalog.bpchar', bit: 'pg_catalog."bit"' };

/** A type's name for a cast that neither rounds nor cuts off. */
export function withoutModifier(type: string): string {
  const bare = type.replace(/\(\d+(,-?\d+)?\)/, '');
  return OF_ANY_LENGTH[bare] ?? bare;
}

/** The leading columns of a key that both ends sort alike, so that a range of them means the same rows on both. */
export function rangeColumns(key: Key): readonly KeyColumn[] {
  const end = key.columns.findIndex((column) => !ORDERED_ALIKE.has(withoutModifier(column.type)));
  return end < 0 ? key.columns : key.columns.slice(0, end);
}

/**
 * Whether the key's index yields its columns in their usual ascending order. A primary key's always does; a unique
 * index may be descending or sort by a user's rules, and stepping through it would sort the table for every chunk.
 */
export async function indexAscends(source: Client, key: Key): Promise<boolean> {
  if (key.primary) return true;
  const { rows } = await source.query(
    sql`
      SELECT NOT EXISTS (SELECT FROM unnest(i.indoption::int2[]) AS o WHERE o <> 0)
        AND NOT EXISTS (SELECT FROM pg_opclass c WHERE c.oid = ANY (i.indclass::oid[]) AND NOT c.opcdefault) AS ascends
      FROM pg_index i WHERE i.indexrelid = $1`,
    [key.indexOid],
  );
  return (rows[0] as { ascends: boolean } | undefined)?.ascends ?? false;
}

/**
 * Condition of a range, on the alias of a table that has the key's columns. Values are literals, since COPY takes no
 * parameters.
 */
export function rangeCondition(relation: Relation, { after, upTo }: KeyRange, alias: string): string {
  const columns = (relation.key?.columns ?? []).slice(0, (after ?? upTo)?.length);
  const row = `(${columns.map((column) => `${alias}.${ident(column.name)}`).join(', ')})`;
  const bound = (values: readonly string[]): string =>
    `(${columns.map((column, i) => `${literal(values[i] ?? '')}::${withoutModifier(column.type)}`).join(', ')})`;
  const parts = [
    ...(after === undefined ? [] : [`${row} > ${bound(after)}`]),
    ...(upTo === undefined ? [] : [`${row} <= ${bound(upTo)}`]),
  ];
  return parts.length === 0 ? 'true' : parts.join(' AND ');
}
