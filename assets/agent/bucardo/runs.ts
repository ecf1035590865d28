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
  /** Runs that ended well since the last start, with or without changes. */
  readonly finished: number;
  /** Runs that failed since the last start without a good one after them, and the words of the newest. */
  readonly failed: number;
  readonly lastError: string;
}

const NONE: Runs = { rows: 0, finished: 0, failed: 0, lastError: '' };

const RUNS = sql`
  WITH recent AS (
    SELECT * FROM bucardo.syncrun WHERE ended IS NOT NULL AND started > (SELECT max(cdate) FROM bucardo.sync)),
  bad AS (
    SELECT * FROM recent WHERE lastbad
      AND started > coalesce((SELECT max(started) FROM recent WHERE lastgood OR lastempty), '-infinity'))
  SELECT
    (SELECT coalesce(sum(greatest(deletes, inserts)), 0) FROM bucardo.syncrun WHERE ended IS NOT NULL AND NOT lastbad)::float8 AS rows,
    (SELECT count(*) FROM recent WHERE lastgood OR lastempty)::float8 AS finished,
    (SELECT count(*) FROM bad)::float8 AS failed,
    coalesce((SELECT status FROM bad ORDER BY started DESC LIMIT 1), '') AS "lastError"`;

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
