import type { Client } from 'pg';
import { copiedColumns, type Relation } from '../catalog/relations';
import { ident } from '../sql';
import { selectPart, type Part } from './cuts';

/** A server's words when a value does not fit into its memory's largest piece, 1 GB. */
const TOO_LONG = /invalid memory alloc request size/;

/** Its code when a row does not. */
const LIMIT_EXCEEDED = '54000';

/** Types whose length as text is told without reading the value. */
const MEASURED = /^(text|character varying|bytea)/;

/** Whether a COPY broke off because a row is longer than a server can take. */
export const isTooLong = (error: unknown): boolean => {
  const { code, cause, message = '' } = error as { code?: string; cause?: unknown; message?: string };
  return TOO_LONG.test(message) || code === LIMIT_EXCEEDED || (cause instanceof Error && isTooLong(cause));
};

/** The longest row of a part, in words for whoever has to find it. Reads no long value. */
export async function largestRow(
  source: Client,
  relation: Relation,
  part: Part,
  sourceVersion: number,
): Promise<string | undefined> {
  const columns = copiedColumns(relation);
  const length = ({ name, type }: (typeof columns)[number]): string =>
    `coalesce(${MEASURED.test(type) ? 'octet_length' : 'pg_column_size'}(${ident(name)}), 0)::int8`;
  const key = relation.key?.columns.map(({ name }) => ident(name)).join(', ') ?? 'ctid';
  const names = columns.map(({ name }) => ident(name)).join(', ');
  const from =
    part.kind === 'whole' ? `ONLY ${relation.sql} AS t` : `${selectPart(relation, names, part, sourceVersion)} AS t`;
  const { rows } = await source.query(
    `SELECT ROW(${key})::text AS key, (${columns.map(length).join(' + ')})::text AS bytes FROM ${from}
     ORDER BY ${columns.map(length).join(' + ')} DESC LIMIT 1`,
  );
  const found = rows[0] as { key: string; bytes: string } | undefined;
  return found && `its longest row has the key ${found.key} and ${found.bytes} bytes`;
}
