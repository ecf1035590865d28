import type { Client } from 'pg';
import { copiedColumns, type Relation } from '../catalog/relations';
import { identList, literal, sql } from '../sql';
import { PipeBroken } from './pipe';

/** A server's codes for bytes that are no text in its encoding, and for text that UTF-8 does not know. */
const CODES: readonly unknown[] = ['22021', '22P05'];

/** Whether a server refuses text for its encoding. */
export const isEncoding = (error: unknown): boolean => CODES.includes((error as { code?: string }).code);

/** What we have the server say, and nobody else, when it has found such a row. */
const FOUND = 'IBX01';

/** What to do about such a value. */
export const UNREADABLE_CURE =
  'the source holds bytes there that are no text in UTF-8, as which Ibex reads it; correct that value at the source';

/** Whether a COPY broke off because the source would not send a text, rather than the target would not take it. */
export function isUnreadable(error: unknown): boolean {
  const { cause } = error as { cause?: unknown };
  if (!(cause instanceof Error)) return false;
  if (error instanceof PipeBroken) return error.end === 'source' && isEncoding(cause);
  return isUnreadable(cause);
}

/**
 * The first of some rows of a relation that the server cannot send as UTF-8, in words for whoever has to find it;
 * undefined when it can send them all. Reads them as text, so only a part of a large relation should be asked for.
 *
 * @param rows the rows as an item of FROM, with all columns that are copied
 */
export async function unreadableRow(source: Client, relation: Relation, rows: string): Promise<string | undefined> {
  const key = relation.key === undefined ? 'ctid' : identList(relation.key.columns.map(({ name }) => name));
  const found = await firstUnreadable(source, rows, key, identList(copiedColumns(relation).map(({ name }) => name)));
  return found && `such a row has the key ${found}`;
}

/**
 * What `key` has in the first of some rows of which `columns` cannot be sent as UTF-8.
 *
 * @param rows the rows as an item of FROM
 * @param key columns, quoted
 * @param columns the same
 */
export async function firstUnreadable(
  source: Client,
  rows: string,
  key: string,
  columns: string,
): Promise<string | undefined> {
  const body = sql`
    #variable_conflict use_column
    DECLARE ibex_row record;
    BEGIN
      FOR ibex_row IN SELECT ROW(${key})::text AS ibex_key, ROW(${columns})::text AS ibex_text FROM ${rows} LOOP
        PERFORM convert_to(ibex_row.ibex_text, 'UTF8');
      END LOOP;
    EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
      RAISE EXCEPTION '%', encode(convert_to(ibex_row.ibex_key, 'SQL_ASCII'), 'escape') USING ERRCODE = '${FOUND}';
    END`;
  try {
    await source.query(`DO ${literal(body)}`);
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code !== FOUND) throw error;
    return message;
  }
}
