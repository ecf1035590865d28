import type { Client } from 'pg';
import type { KeyDifference } from './comparison';

/** One row of a listing: hash of its key, by which both ends are sorted, its key and its own hash. */
export interface ListedRow {
  readonly kh: string;
  readonly key: readonly string[];
  readonly hash: string;
}

/** A query with its parameters. */
export interface Query {
  readonly text: string;
  readonly values: readonly (string | Buffer)[];
}

/** Rows that are fetched at once, and differences that are handed on at once. */
const BATCH = 500;

/**
 * Reads a listing by a cursor, so that memory stays flat however long it is. The cursor is WITH HOLD, since it must
 * work outside of a transaction too.
 */
export async function* readListing(client: Client, query: Query): AsyncGenerator<ListedRow> {
  await client.query({
    text: `DECLARE ibex_listing NO SCROLL CURSOR WITH HOLD FOR ${query.text}`,
    values: [...query.values],
  });
  for (;;) {
    const { rows } = await client.query<ListedRow>(`FETCH ${BATCH} FROM ibex_listing`);
    yield* rows;
    if (rows.length < BATCH) break;
  }
  await client.query('CLOSE ibex_listing');
}

/** Yields rows that were listed in parts, in the order of a listing. */
export async function* inOrder(rows: readonly ListedRow[]): AsyncGenerator<ListedRow> {
  yield* [...rows].sort((a, b) => compare(a.kh, b.kh));
}

/** Walks two sorted listings side by side and yields what differs, in batches. Equal keys pair off one by one. */
export async function* differencesOf(
  source: AsyncGenerator<ListedRow>,
  target: AsyncGenerator<ListedRow>,
): AsyncGenerator<KeyDifference[]> {
  let batch: KeyDifference[] = [];
  let [left, right] = await Promise.all([source.next(), target.next()]);
  while (!left.done || !right.done) {
    const order = left.done ? 1 : right.done ? -1 : compare(left.value.kh, right.value.kh);
    if (order < 0) {
      const { key, hash } = left.value as ListedRow;
      batch.push({ kind: 'missing on target', key, sourceHash: hash });
    } else if (order > 0) {
      const { key, hash } = right.value as ListedRow;
      batch.push({ kind: 'extra on target', key, targetHash: hash });
    } else if ((left.value as ListedRow).hash !== (right.value as ListedRow).hash) {
      const { key, hash } = left.value as ListedRow;
      batch.push({ kind: 'different', key, sourceHash: hash, targetHash: (right.value as ListedRow).hash });
    }
    if (order <= 0) left = await source.next();
    if (order >= 0) right = await target.next();
    if (batch.length >= BATCH) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
