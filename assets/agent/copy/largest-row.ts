import type { Client } from 'pg';
import { copiedColumns, type Relation } from '../catalog/relations';
import { ident } from '../sql';

/** A server's words when a value does not fit into its memory's largest piece, 1 GB. */
const TOO_LONG = /invalid memory alloc request size/;

/** Its code when a row does not. */
const LIMIT_EXCEEDED = '54000';

/** What to do about such a row. */
export const TOO_LONG_CURE =
  'a server takes rows of up to 1 GB, counted as text unless all types of the table have a binary form; make it smaller, or keep that value in parts';

/** Types whose length as text is told without reading the value. */
const MEASURED = /^(text|character varying(\(\d+\))?|bytea)$/;

/** Types of one length, or of a short one. Any other may be stored compressed, and only that length is known. */
const SHORT =
  /^(smallint|integer|bigint|oid|real|double precision|numeric|boolean|uuid|date|time|timestamp|interval)\b[^[]*$/;

/** Whether a COPY broke off because a row is longer than a server can take. */
export const isTooLong = (error: unknown): boolean => {
  const { code, cause, message = '' } = error as { code?: string; cause?: unknown; message?: string };
  return TOO_LONG.test(message) || code === LIMIT_EXCEEDED || (cause instanceof Error && isTooLong(cause));
};

/**
 * The longest of some rows of a relation, in words for whoever has to find it. Reads no long value.
 *
 * @param rows the rows as an item of FROM, with all columns that are copied
 */
export async function largestRow(source: Client, relation: Relation, rows: string): Promise<string | undefined> {
  const columns = copiedColumns(relation);
  const isSure = columns.every(({ type }) => MEASURED.test(type) || SHORT.test(type));
  const length = ({ name, type }: Relation['columns'][number]): string =>
    `coalesce(${MEASURED.test(type) ? 'octet_length' : 'pg_column_size'}(${ident(name)}), 0)::int8`;
  const bytes = ['0', ...columns.map(length)].join(' + ');
  const key = relation.key?.columns.map(({ name }) => ident(name)).join(', ') ?? 'ctid';
  const { rows: found } = await source.query(
    `SELECT ROW(${key})::text AS key, (${bytes})::text AS bytes FROM ${rows} ORDER BY ${bytes} DESC LIMIT 1`,
  );
  const row = found[0] as { key: string; bytes: string } | undefined;
  const stored = isSure ? '' : ' as stored, compressed';
  return row && `its longest row has the key ${row.key} and ${row.bytes} bytes${stored}`;
}
