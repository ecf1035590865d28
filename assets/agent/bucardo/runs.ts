import type { HostConfig } from '../config';
import { connectToHost } from '../connect';
import { sql } from '../sql';
import { BUCARDO_DATABASE } from './names';

/** Fact, in the state, of the rows that Bucardo had applied when its database was dropped. */
export const BUCARDO_ROWS_FACT = 'rows.bucardo';

/** What Bucardo's runs have moved so far. */
export interface Runs {
  /** Rows deleted or inserted on the target, a replaced row counted once. */
  readonly rows: number;
  /** Runs that ended well since the last start, with or without changes, of the sync that has fewest. */
  readonly finished: number;
  /** Runs that failed since the last start without a good one after them, of the worst sync, and its newest words. */
  readonly failed: number;
  readonly lastError: string;
}

const NONE: Runs = { rows: 0, finished: 0, failed: 0, lastError: '' };

/** Runs that failed, but for those that Bucardo itself repeats at once; a condition on `bucardo.syncrun`. */
export const REFUSED = `status LIKE 'Failed :%' AND status !~ '^Failed : (Serialization|Deadlock)'`;

const RUNS = sql`
  WITH recent AS (
    SELECT s.name, r.* FROM bucardo.sync s LEFT JOIN bucardo.syncrun r
      ON r.sync = s.name AND r.ended IS NOT NULL AND r.started > s.cdate),
  of_sync AS (
    SELECT name, count(*) FILTER (WHERE lastgood OR lastempty) AS finished,
      count(*) FILTER (WHERE ${REFUSED} AND started > coalesce(good, '-infinity')) AS failed,
      (array_agg(status ORDER BY started DESC) FILTER (WHERE ${REFUSED} AND started > coalesce(good, '-infinity')))[1] AS error
    FROM (SELECT *, max(started) FILTER (WHERE lastgood OR lastempty) OVER (PARTITION BY name) AS good FROM recent) AS r
    GROUP BY name)
  SELECT
    (SELECT coalesce(sum(greatest(deletes, inserts)), 0) FROM bucardo.syncrun WHERE ended IS NOT NULL AND NOT lastbad)::float8 AS rows,
    coalesce(min(finished), 0)::float8 AS finished, coalesce(max(failed), 0)::float8 AS failed,
    coalesce((array_agg(name || ': ' || error ORDER BY failed DESC) FILTER (WHERE failed > 0))[1], '') AS "lastError"
  FROM of_sync`;

/** Reads Bucardo's own account of its runs. Zero while its database is not there. */
export async function appliedByBucardo(host: HostConfig): Promise<Runs> {
  const client = await connectToHost(host, BUCARDO_DATABASE).catch(() => undefined);
  if (!client) return NONE;
  try {
    const { rows } = await client.query(RUNS);
    return rows[0] as Runs;
  } catch {
    return NONE;
  } finally {
    await client.end();
  }
}

/** Runs that ended longer ago are kept as one sum for each sync; Bucardo itself forgets none. */
const KEPT = '1 hour';

/**
 * Puts the runs of Bucardo that are long over together, one row for each sync with all that they moved: at a run each
 * half second there would be a million of them in a week. The last good, bad and empty one of each sync stays.
 */
export async function foldRuns(host: HostConfig, kept = KEPT): Promise<void> {
  const client = await connectToHost(host, BUCARDO_DATABASE);
  try {
    await client.query(
      sql`
        WITH gone AS (
          DELETE FROM bucardo.syncrun WHERE ended < now() - $1::interval AND NOT (lastgood OR lastbad OR lastempty)
          RETURNING sync, started, ended, greatest(deletes, inserts) AS moved)
        INSERT INTO bucardo.syncrun (sync, started, ended, inserts, status)
        SELECT sync, min(started), max(ended), sum(moved), 'folded' FROM gone GROUP BY sync`,
      [kept],
    );
  } finally {
    await client.end();
  }
}
