import type { Client } from 'pg';
import { sql } from '../sql';

/** Who is there for a moment only is in nobody's way; whose time is hidden from our login may be. */
const END_HOLDERS = sql`
  WITH holder AS (
    SELECT l.pid, coalesce(a.usename = current_user
        AND (a.application_name LIKE 'bucardo %' OR a.application_name = 'ibex catch-up'), false) AS ours,
      coalesce(a.xact_start < clock_timestamp() - $2 * interval '1 ms', true) AS long
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.granted AND l.relation = $1::text::regclass AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
  SELECT pg_terminate_backend(pid) FROM holder WHERE ours AND NOT EXISTS (SELECT FROM holder WHERE long AND NOT ours)`;

/**
 * Ends the sessions of Bucardo and of catch-up that hold a queue, where nobody else does for long. Nothing is lost: a run
 * of Bucardo begins anew, and catch-up takes what it applied as given back. Returns whether there were any.
 *
 * @param queue quoted
 * @param lockTimeoutMs what is long
 */
export async function endHolders(source: Client, queue: string, lockTimeoutMs: number): Promise<boolean> {
  const { rowCount } = await source.query(END_HOLDERS, [queue, lockTimeoutMs]);
  return rowCount !== 0;
}
