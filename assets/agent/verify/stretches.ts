import type { Client } from 'pg';
import { indexAscends, type KeyRange } from '../catalog/key-order';
import { serverVersion, type Relation } from '../catalog/relations';
import { pagesCondition, readsWellBy, TID_RANGE_SCAN } from '../copy/cuts';
import type { End } from '../endpoints';
import { KeySteps } from './key-range';
import { usableKey, type Condition } from './relation-sql';

/** How a side is to be cut. */
export interface Cutting {
  /** Rows that the relation has, about. */
  readonly rows: number;
  /** Rows that a stretch should have. */
  readonly stretchRows: number;
}

const NOTHING: Condition = { text: '', values: [] };

/**
 * Conditions that together are met by each row of one side once, for what cannot be cut alike on both: each is read by a
 * statement of its own, with a short snapshot and a pause after it. By pages, which are read in order. Servers before 14
 * have to look for each row of a page by itself, which takes three times as much, so the source is read there along its
 * key, in its own order, where that means no random reads from disk.
 */
export async function* stretchesOf(
  client: Client,
  end: End,
  relation: Relation,
  { rows, stretchRows }: Cutting,
): AsyncGenerator<Condition, undefined> {
  const count = Math.ceil(rows / stretchRows);
  if (count <= 1) {
    yield NOTHING;
    return undefined;
  }
  const version = await serverVersion(client);
  const key = usableKey(relation);
  const byKey = end === 'source' && version < TID_RANGE_SCAN && key !== undefined && (await indexAscends(client, key));
  if (byKey && (await readsWellBy(client, relation, key.columns))) {
    const steps = new KeySteps(relation, key.columns, stretchRows);
    let rest: KeyRange = {};
    for (;;) {
      const upTo = await steps.next(client, rest);
      yield steps.condition({ ...rest, ...(upTo && { upTo }) });
      if (upTo === undefined) return undefined;
      rest = { after: upTo };
    }
  }
  const { pages } = await placeOf(client, relation);
  const step = Math.max(1, Math.ceil(pages / count));
  for (let from = 0; from === 0 || from < pages; from += step) {
    // The last stretch has no end: the relation grows meanwhile.
    const to = from + step < pages ? from + step : undefined;
    yield { text: `WHERE ${pagesCondition(relation, { from, ...(to !== undefined && { to }) }, version)}`, values: [] };
  }
  return undefined;
}

/** The file that holds a relation, since a rewrite moves rows from stretch to stretch, and its length. */
export async function placeOf(client: Client, relation: Relation): Promise<{ file: string | null; pages: number }> {
  const { rows } = await client.query(
    `SELECT pg_relation_filenode($1::text::regclass)::text AS file,
      (pg_relation_size($1::text::regclass) / current_setting('block_size')::int)::float8 AS pages`,
    [relation.sql],
  );
  return rows[0] as { file: string | null; pages: number };
}
