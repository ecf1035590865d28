import type { Client } from 'pg';
import { rangeColumns } from '../catalog/key-order';
import { keyText } from '../catalog/key-text';
import type { Relation } from '../catalog/relations';
import { oneLine } from '../errors';
import { ident } from '../sql';
import { KeySteps } from './key-range';
import { comparedColumns, usableKey } from './relation-sql';
import type { Section } from './sections';

/** What a server says of a value, or of a row as text, that is longer than it can hold. */
const TOO_LARGE = /invalid memory alloc request size|string buffer exceeds|[Cc]annot enlarge string buffer/;

/** A row with more than this in its values may be over 1 GB as text, where each byte of a bytea takes two; bytes. */
const SUSPECT_BYTES = 1_000_000_000;

/** Rows that one message names. */
const NAMED = 3;

/** Types whose length a server tells without reading the value. */
const FACTORS: Readonly<Record<string, number>> = { bytea: 2, text: 1, 'character varying': 1, character: 1 };

/**
 * Says which rows are too large to be hashed, if that is what the error is about, in one line with the way on. Undefined
 * for other errors.
 */
export async function explainTooLarge(
  cause: unknown,
  { relation, ...range }: Section,
  { openSource }: { readonly openSource: () => Promise<Client> },
): Promise<string | undefined> {
  const said = oneLine(cause);
  if (!TOO_LARGE.test(said)) return undefined;
  const keys = await suspects(relation, range, openSource).catch(() => []);
  const which = keys.length === 0 ? 'a row is' : `the rows of the keys ${keys.join(' ')} are`;
  return `${which} over 1 GB as text, which no server can hash (${said}); all other tables were compared: make the value smaller, or keep it in parts, then start verify again`;
}

async function suspects(
  relation: Relation,
  range: Omit<Section, 'relation'>,
  openSource: () => Promise<Client>,
): Promise<string[]> {
  const key = usableKey(relation);
  if (key === undefined) return [];
  const sizes = comparedColumns(relation).map(({ name, type }) => {
    const factor = FACTORS[type.replace(/\(.*?\)/, '')];
    const column = `t.${ident(name)}`;
    return factor === undefined ? `pg_column_size(${column})::int8` : `octet_length(${column})::int8 * ${factor}`;
  });
  const total = sizes.map((size) => `coalesce(${size}, 0)`).join(' + ');
  const { text, values } = new KeySteps(relation, rangeColumns(key), 1).condition(range);
  const source = await openSource();
  try {
    const { rows } = await source.query({
      text: `SELECT ${key.columns.map((column) => keyText(column, 't')).join(', ')} FROM ONLY ${relation.sql} AS t
        ${text === '' ? 'WHERE' : `${text} AND`} ${total} > ${SUSPECT_BYTES} LIMIT ${NAMED}`,
      values,
      rowMode: 'array',
    });
    return (rows as string[][]).map((columns) => `(${columns.join(', ')})`);
  } finally {
    await source.end().catch(() => undefined);
  }
}
