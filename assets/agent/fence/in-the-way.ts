import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { isApplicationSchema, OWN_SCHEMAS } from '../catalog/schemas';
import { qualified, sql } from '../sql';

/**
 * How long a moment without them is waited for; milliseconds. No write is stopped meanwhile, so it costs nobody anything;
 * a vacuum that takes longer is likely to take hours, and the fence has means of its own against those of the server.
 */
export const WAIT_MS = 60_000;

const POLL_MS = 100;

/**
 * Locks that keep SHARE ROW EXCLUSIVE off, but for ROW EXCLUSIVE: every writer has that one, and soon lets go of it. The
 * others are of VACUUM, ANALYZE and DDL, which may last, and of which a short lock_timeout sends none away.
 */
const LASTING = [
  'ShareUpdateExclusiveLock',
  'ShareLock',
  'ShareRowExclusiveLock',
  'ExclusiveLock',
  'AccessExclusiveLock',
];

/** Who would keep the fence off this end's tables: one line each, without the text of statements. */
export async function readInTheWay(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    sql`
      SELECT l.pid, l.mode, n.nspname AS schema, c.relname AS name, a.backend_type AS backend, a.application_name AS program
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'relation' AND l.granted AND l.mode = ANY ($2) AND l.pid IS DISTINCT FROM pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${isApplicationSchema('n.nspname', '$1')}
      ORDER BY l.pid, n.nspname, c.relname`,
    [OWN_SCHEMAS, LASTING],
  );
  return (rows as Holder[]).map((row) => `${describe(row)} holds ${row.mode} on ${qualified(row.schema, row.name)}`);
}

interface Holder {
  readonly pid: number | null;
  readonly mode: string;
  readonly schema: string;
  readonly name: string;
  /** Hidden from logins without pg_read_all_stats. */
  readonly backend: string | null;
  readonly program: string | null;
}

function describe({ pid, backend, program }: Holder): string {
  if (pid === null) return 'a prepared transaction';
  return `${backend ?? 'session'} ${pid}${program ? ` (${program})` : ''}`;
}

/**
 * Waits for a moment in which neither vacuum nor DDL would keep the fence off, while writes go on. Returns at once when
 * there is none. Tells whether it had to wait, and who was still there when the time was over.
 *
 * @param waitMs longest wait; milliseconds
 * @param found takes who is in the way, whenever that changes
 */
export async function untilNoneInTheWay(
  client: Client,
  waitMs: number,
  found: (holders: readonly string[]) => void,
): Promise<{ readonly waited: boolean; readonly left: readonly string[] }> {
  const end = performance.now() + waitMs;
  let before = '';
  for (;;) {
    const left = await readInTheWay(client);
    const waited = before !== '';
    if (left.length === 0 || performance.now() >= end) return { waited, left };
    const now = left.join();
    if (now !== before) found(left);
    before = now;
    await sleep(POLL_MS);
  }
}
