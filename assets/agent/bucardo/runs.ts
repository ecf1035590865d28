import type { HostConfig } from '../config';
import { connectToHost } from '../connect';
import { BUCARDO_DATABASE } from './names';

/** Fact, in the state, of the rows that Bucardo had applied when its database was dropped. */
export const BUCARDO_ROWS_FACT = 'rows.bucardo';

/** What Bucardo's runs have moved so far. */
export interface Runs {
  /** Rows deleted or inserted on the target, a replaced row counted once. */
  readonly rows: number;
  /** Runs that ended well since the last start, with or without changes. */
  readonly finished: number;
}

/** Reads Bucardo's own account of its runs. Zero while its database is not there. */
export async function appliedByBucardo(host: HostConfig): Promise<Runs> {
  const client = await connectToHost(host, BUCARDO_DATABASE).catch(() => undefined);
  if (!client) return { rows: 0, finished: 0 };
  try {
    const { rows } = await client.query(
      `SELECT coalesce(sum(greatest(deletes, inserts)), 0)::int8 AS rows,
         count(*) FILTER (WHERE (lastgood OR lastempty) AND started > (SELECT max(cdate) FROM bucardo.sync))::int8 AS finished
       FROM bucardo.syncrun WHERE ended IS NOT NULL AND NOT lastbad`,
    );
    const row = rows[0] as { rows: string; finished: string };
    return { rows: Number(row.rows), finished: Number(row.finished) };
  } catch {
    return { rows: 0, finished: 0 };
  } finally {
    await client.end();
  }
}
