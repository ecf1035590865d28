import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { sql } from '../sql';

/** Pauses between tries on a busy relation; milliseconds. Jitter keeps two of us from meeting again and again. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** Time in which a server sends an autovacuum away whose table somebody wants: above deadlock_timeout; milliseconds. */
export const EVICTION_MS = 3_000;

/** Who holds a relation so that our lock has to wait. */
export interface Blocker {
  readonly oid: number;
  readonly pid: number | null;
  readonly user: string;
  readonly application: string;
  /** Age of the transaction; null where the login may not see it, for lack of pg_read_all_stats. */
  readonly seconds: number | null;
  readonly query: string;
}

/** Readers are in the way of an exclusive lock only. A prepared transaction has no session. */
const BLOCKERS = sql`
  SELECT DISTINCT l.relation::int8::float8 AS oid, l.pid, coalesce(a.usename::text, a.backend_type, CASE WHEN l.pid IS NULL THEN 'prepared' ELSE 'not visible' END) AS user,
    coalesce(a.application_name, p.gid, '') AS application, coalesce(a.xact_start, p.prepared) AS since,
    round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)))::float8 AS seconds,
    coalesce(left(a.query, 120), '') AS query
  FROM pg_locks l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.granted
    AND x.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
  WHERE l.locktype = 'relation' AND l.relation = ANY ($1::oid[]) AND l.granted
    AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ($2 OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))
  ORDER BY since`;

/** Most blockers of one relation that are told. */
const SHOWN = 5;

/**
 * Who is in the way of a lock on a relation, or on several, the longest transaction first.
 *
 * @param exclusive whether the lock shuts out readers as well
 */
export async function blockersOf(
  client: Client,
  oid: number | readonly number[],
  exclusive: boolean,
): Promise<Blocker[]> {
  return ((await client.query(BLOCKERS, [[oid].flat(), exclusive])).rows as Blocker[]).slice(0, SHOWN);
}

/** An autovacuum that gives way to nobody. */
const isWraparound = ({ query }: Blocker): boolean => /^autovacuum:.*to prevent wraparound/s.test(query);

/**
 * Who holds some of these relations against a trigger, and for long: a transaction that is prepared or older than a wait
 * of ours may be, one whose age is not visible, and a vacuum against wraparound. The longest transaction first.
 *
 * @param lockTimeoutMs that wait
 * @param exclusive whether it is for a lock that shuts out readers as well
 */
export async function longHolders(
  client: Client,
  oids: readonly number[],
  lockTimeoutMs: number,
  exclusive = false,
): Promise<Blocker[]> {
  const holders = (await client.query(BLOCKERS, [oids, exclusive])).rows as Blocker[];
  const isLong = (holder: Blocker): boolean =>
    !holder.query.startsWith('autovacuum:') && (holder.seconds ?? Infinity) * 1000 >= lockTimeoutMs;
  return holders.filter((holder) => holder.pid === null || isWraparound(holder) || isLong(holder));
}

/** Whether the server gave up a lock request or broke a deadlock, so that trying again makes sense. */
export const isBusy = (error: unknown): boolean => ['55P03', '40P01'].includes((error as { code?: string }).code ?? '');

/** Waits before the next try, longer each time. @param attempt how many tries there were */
export async function pauseAfter(attempt: number): Promise<void> {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  await sleep(pause * (0.5 + Math.random()));
}

/** Blockers in words. */
export const inTheWay = (blockers: readonly Blocker[]): string =>
  blockers.map((row) => `${named(row)} (${row.user}, ${row.application}, ${age(row)}): ${row.query}`).join('; ') ||
  'nobody at this moment';

const age = ({ seconds }: Blocker): string =>
  seconds === null ? 'age not visible without pg_read_all_stats' : `${seconds} s`;

const named = ({ pid }: Blocker): string => (pid === null ? 'a transaction' : `pid ${pid}`);

/** What to say of a relation that was tried so often in vain, and the command that is to be started again. */
export const neverFree = (
  table: string,
  { lockTimeoutMs, attempts }: { readonly lockTimeoutMs: number; readonly attempts: number },
  blockers: readonly Blocker[],
  command: string,
): string =>
  `${table} was never free for ${lockTimeoutMs} ms in ${attempts} tries; in the way: ${inTheWay(blockers)}; end that, or wait, and start ${command} again`;

/**
 * To be called in a transaction, before its short lock time-out begins to count: waits for vacuum, ANALYZE and DDL on the
 * table, behind which it keeps no reader or writer waiting. A server sends an autovacuum away only when somebody has
 * waited for it for a second. What comes next waits for readers and writers only.
 *
 * It holds no lock afterwards: a transaction of the application that stands in the way of the next lock, and itself asks
 * for an ANALYZE or for DDL meanwhile, would be refused that as a deadlock.
 *
 * @param lockTimeoutMs how long the statements behind this one may wait for a lock
 */
export async function waitGently(client: Client, table: string, lockTimeoutMs: number): Promise<void> {
  await client.query(`SET LOCAL lock_timeout = ${EVICTION_MS}; SAVEPOINT gently`);
  await client.query(
    `LOCK TABLE ONLY ${table} IN SHARE UPDATE EXCLUSIVE MODE; ROLLBACK TO gently; RELEASE gently;
     SET LOCAL lock_timeout = ${Math.round(lockTimeoutMs)}`,
  );
}
