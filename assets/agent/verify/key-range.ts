import type { Client } from 'pg';
import type { Key, KeyColumn, Relation } from '../catalog/relations';
import { ident, sql } from '../sql';

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

const withoutModifier = (type: string): string => type.replace(/\(\d+(,-?\d+)?\)/, '');

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

/** Cuts a relation into ranges by stepping through its key's index on the source. */
export class KeySteps {
  private readonly row: string;
  private readonly step: (where: string) => string;

  constructor(
    relation: Relation,
    private readonly columns: readonly KeyColumn[],
    chunkRows: number,
  ) {
    const names = columns.map((column) => `t.${ident(column.name)}`);
    this.row = `(${names.join(', ')})`;
    this.step = (where) => sql`
      SELECT ${names.map((name, i) => `${name}::text AS k${i}`).join(', ')}
      FROM ONLY ${relation.sql} AS t ${where} ORDER BY ${names.join(', ')} OFFSET ${Math.max(0, chunkRows - 1)} LIMIT 1`;
  }

  /** The key with which the chunk after the given key ends; undefined when fewer rows than a chunk are left. */
  async next(source: Client, after: readonly string[] | undefined): Promise<readonly string[] | undefined> {
    const { text, values } = this.condition({ ...(after !== undefined && { after }) });
    const { rows } = await source.query({ text: this.step(text), values, rowMode: 'array' });
    return rows[0] as string[] | undefined;
  }

  /** WHERE clause of a range, with its parameters from $1 on; empty for the range without ends. */
  condition({ after, upTo }: KeyRange): { readonly text: string; readonly values: string[] } {
    const values = [...(after ?? []), ...(upTo ?? [])];
    const bound = (first: number): string =>
      `(${this.columns.map((column, i) => `$${first + i}::${withoutModifier(column.type)}`).join(', ')})`;
    const parts = [
      ...(after === undefined ? [] : [`${this.row} > ${bound(1)}`]),
      ...(upTo === undefined ? [] : [`${this.row} <= ${bound(1 + (after?.length ?? 0))}`]),
    ];
    return { text: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
  }
}
