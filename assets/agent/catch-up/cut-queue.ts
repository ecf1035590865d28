import type { Client } from 'pg';
import { EVICTION_MS, isBusy } from '../capture/busy';
import { queueOf } from '../capture/names';
import { keyOf } from '../capture/objects';
import { rangeColumns, type KeyRange } from '../catalog/key-order';
import type { Relation } from '../catalog/relations';
import { keyRanges } from '../copy/cuts';
import { ident, identList, sql } from '../sql';

/** Changes that one transaction applies: enough to be worth its commit, few enough for a short snapshot. */
export const BATCH = 100_000;

/** Rows of the queue that the sample has for each part; of pages, so that they come in clusters. */
const SAMPLE_ROWS = 300;

/** A row of the queue with an integer key takes about this much of a page; only a rough count is wanted. Bytes. */
const ROW_BYTES = 50;

/** Share of a sample's changes whose key the sample has already, from which each key is read once only. */
const FEW_REPEATS = 0.05;

/** server_version_num from which a scan of an index goes through a long list of keys in one go. */
const LIST_SCANS = 170_000;

/** How a long queue was cut. */
export interface Cut {
  readonly ranges: readonly KeyRange[];
  /** Whether the same keys come again and again, by a sample. */
  readonly repeats: boolean;
  /** Whether the target finds the rows of many keys faster by looking each up than by a join. */
  readonly lookups: boolean;
}

/**
 * Cuts a long queue into ranges of its key that several sessions may apply side by side; no key is in two of them. Undefined
 * when all changes that a snapshot shows must go into one transaction: that is so as soon as the target has another
 * unique or exclusion index beside the key's, since a value may have moved between keys, or where both ends might not
 * sort keys alike.
 *
 * @param batch changes of one range, about and at most
 * @param hands how many ranges are applied side by side: there are so many, or a multiple, that none ends up alone
 */
export async function cutQueue(
  source: Client,
  target: Client,
  relation: Relation,
  batch: number = BATCH,
  hands = 1,
): Promise<Cut | undefined> {
  const { key } = relation;
  const columns = key === undefined || key.unusable !== undefined ? [] : rangeColumns(key);
  if (columns.length === 0) return undefined;
  const { uniques, version } = await readTarget(target, relation);
  if (uniques !== 1) return undefined;
  const queue = queueOf(relation);
  const size = await source.query(`SELECT pg_relation_size($1::text::regclass)::float8 AS bytes`, [queue]);
  const rows = (size.rows[0] as { bytes: number }).bytes / ROW_BYTES;
  const parts = Math.ceil(rows / batch / hands) * hands;
  if (rows <= batch || parts <= 1) return undefined;
  await analyzeQueue(source, relation);
  const names = columns.map((column) => `q.${ident(column.name)}`);
  const percent = Math.min(100, (100 * parts * SAMPLE_ROWS) / rows);
  const sample = await source.query({
    text: sql`
      SELECT repeats, ${names.map((_, i) => `k${i}`).join(', ')} FROM (
        SELECT ${names.map((name, i) => `${name}::text AS k${i}`).join(', ')},
          row_number() OVER (ORDER BY ${names.join(', ')}) AS place, count(*) OVER () AS rows,
          (1 - count(*) OVER () / sum(changes) OVER ())::float8 AS repeats
        FROM (SELECT ${names.join(', ')}, count(*) AS changes FROM ${queue} AS q TABLESAMPLE SYSTEM (${percent})
          GROUP BY ${names.join(', ')}) AS q) AS s
      WHERE place < rows AND place * ${parts} / rows <> (place - 1) * ${parts} / rows ORDER BY place`,
    rowMode: 'array',
  });
  const read = sample.rows as [number, ...string[]][];
  if (read[0] === undefined) return undefined;
  const ranges = keyRanges(read.map(([, ...bound]) => bound));
  return {
    ranges,
    repeats: read[0][0] > FEW_REPEATS,
    lookups: version >= LIST_SCANS && key?.columns.length === 1,
  };
}

/**
 * Tells the planner what the queue holds now: with the statistics of an empty one it would look up every key in a scan of
 * it. A vacuum that gives way to nobody may take hours: what the server knows from before has to do then.
 */
export async function analyzeQueue(source: Client, relation: Relation): Promise<void> {
  const queue = queueOf(relation);
  await source.query('BEGIN');
  try {
    await source.query(`SET LOCAL lock_timeout = ${EVICTION_MS}`);
    await source.query(`ANALYZE ${queue} (${identList(keyOf(relation).columns.map(({ name }) => name))}); COMMIT`);
  } catch (error) {
    await source.query('ROLLBACK');
    if (!isBusy(error)) throw error;
  }
}

/** How many unique and exclusion indexes a relation has on the target, and that server's version. */
export async function readTarget(target: Client, relation: Relation): Promise<{ uniques: number; version: number }> {
  const { rows } = await target.query(
    sql`
      SELECT count(*)::int AS uniques, current_setting('server_version_num')::int AS version
      FROM pg_index WHERE indrelid = $1::text::regclass AND (indisunique OR indisexclusion)`,
    [relation.sql],
  );
  return rows[0] as { uniques: number; version: number };
}
