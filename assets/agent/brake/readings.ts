import { statfs } from 'node:fs/promises';
import type { Client } from 'pg';
import type { BrakeConfig } from '../config';
import type { Direction } from '../endpoints';
import { sql } from '../sql';
import type { Pace } from './paced';

/** Somebody who waits for a lock of ours. */
export interface LockWait {
  /** Milliseconds. */
  readonly ms: number;
  /** The session and what it wants, for people. */
  readonly who: string;
  /** Our sessions that are in the way, with the names that they give themselves. */
  readonly holders: readonly { readonly pid: number; readonly application: string }[];
}

/** How the source and the host are, as far as our work could hurt them. */
export interface Readings {
  /** Active sessions of others on the source. A login that may not see others' sessions sees its own role's. */
  readonly active: number;
  /** Waits of others for locks that sessions of ours hold, or wait for before them. */
  readonly lockWaits: readonly LockWait[];
  /** Size of the captured changes on the source, with indexes and notes; bytes. */
  readonly queueBytes: number;
  /** How fast that grows; bytes a minute. */
  readonly queueGrowth: number;
  /** Free disk where the host writes; bytes. */
  readonly hostFreeBytes: number;
}

/** Our own sessions, by the names that they give themselves. */
const OURS = `(application_name LIKE 'ibex%' OR application_name LIKE 'bucardo %')`;

const LOAD = sql`
  SELECT count(*)::int AS active FROM pg_stat_activity
  WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND NOT ${OURS}`;

/** What a session does is told only to a login that may see it, which locks it waits for is told to all; asked when needed. */
const LOCK_WAITS = sql`
  WITH ours AS (SELECT pid, application_name AS application FROM pg_stat_activity WHERE ${OURS}),
  hidden AS (
    SELECT pid, usename, application_name FROM pg_stat_activity
    WHERE datname = current_database() AND query = '<insufficient privilege>' AND NOT ${OURS}),
  waiting AS (
    SELECT a.pid, extract(epoch FROM clock_timestamp() - coalesce(a.query_start, a.xact_start)) * 1000 AS ms,
      format('pid %s (%s, %s): %s', a.pid, a.usename, a.application_name, left(a.query, 120)) AS who, NULL AS wait
    FROM pg_stat_activity a WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND NOT ${OURS}
    UNION ALL
    SELECT h.pid, NULL, format('pid %s (%s, %s), whose statement is hidden from our login,', h.pid, h.usename, h.application_name),
      concat(h.pid, ' ', l.virtualtransaction)
    FROM hidden h JOIN pg_locks l ON l.pid = h.pid AND NOT l.granted WHERE EXISTS (SELECT FROM hidden))
  SELECT w.ms::float8 AS ms, w.who, w.wait, jsonb_agg(to_jsonb(o)) AS holders
  FROM waiting w CROSS JOIN unnest(pg_blocking_pids(w.pid)) AS b (pid) JOIN ours o ON o.pid = b.pid
  GROUP BY w.pid, w.ms, w.who, w.wait`;

/** When waits were first seen whose time our login may not see; milliseconds of the process's clock. */
export type HiddenWaits = Map<string, number>;

/**
 * Reads load and lock waits of the source, the longest first.
 *
 * @param hidden what earlier looks saw of waits whose time is hidden; is brought up to date. @default nothing
 */
export async function readLoad(
  source: Client,
  hidden: HiddenWaits = new Map(),
): Promise<Pick<Readings, 'active' | 'lockWaits'>> {
  const { active } = (await source.query(LOAD)).rows[0] as { active: number };
  const { rows } = await source.query<LockWait & { ms: number | null; wait: string | null }>(LOCK_WAITS);
  const now = performance.now();
  const seen = new Map(rows.flatMap(({ wait }) => (wait === null ? [] : [[wait, hidden.get(wait) ?? now]])));
  hidden.clear();
  for (const [wait, since] of seen) hidden.set(wait, since);
  const lockWaits = rows.map(({ ms, wait, who, holders }) => ({
    ms: ms ?? now - (seen.get(wait ?? '') ?? now),
    who,
    holders,
  }));
  return { active, lockWaits: lockWaits.sort((a, b) => b.ms - a.ms) };
}

/** Reads the free disk under a directory. */
export async function readFreeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** What follows from the readings, with the reason in words; `off` when the captured changes must go at once. */
export interface Verdict {
  readonly pace: Pace | 'off';
  readonly reason: string;
  /** With `yield`: who waits too long, the longest first. */
  readonly waits?: readonly LockWait[];
}

const MB = 1_000_000;

/** Growth of the captured changes, in limits, from which no row moves: at half speed the burst had too little of the source. */
const GROWTH_TO_PAUSE = 2;

/**
 * Holds the readings against the limits of the settings.
 *
 * @param direction in which rows are moved. @default forward
 */
export function judge(readings: Readings, limits: BrakeConfig, direction: Direction = 'forward'): Verdict {
  const end = direction === 'forward' ? 'source' : 'target';
  const { active, lockWaits, queueBytes, queueGrowth, hostFreeBytes } = readings;
  const over = (value: number, limit: number): boolean => limit > 0 && value >= limit;
  if (over(queueBytes, limits.queueMegabytes * MB)) {
    return {
      pace: 'off',
      reason: `the captured changes take ${Math.round(queueBytes / MB)} MB of the ${end}'s disk, and brake.queueMegabytes is ${limits.queueMegabytes}`,
    };
  }
  const waits = lockWaits.filter(({ ms }) => over(ms, limits.lockWaitMs));
  const [longest] = waits;
  if (longest) {
    return { pace: 'yield', reason: `${longest.who} waits ${Math.round(longest.ms)} ms for a lock of ours`, waits };
  }
  if (over(active, limits.pauseSessions)) {
    return { pace: 'paused', reason: `${active} sessions are active on the ${end}` };
  }
  const growth = `the captured changes grow by ${Math.round(queueGrowth / MB)} MB a minute`;
  if (over(queueGrowth, limits.queueGrowthMegabytes * MB * GROWTH_TO_PAUSE)) return { pace: 'paused', reason: growth };
  if (limits.hostFreeMegabytes > 0 && hostFreeBytes < limits.hostFreeMegabytes * MB) {
    return { pace: 'paused', reason: `${Math.round(hostFreeBytes / MB)} MB are free on the host's disk` };
  }
  if (over(active, limits.slowSessions)) {
    return { pace: 'slow', reason: `${active} sessions are active on the ${end}` };
  }
  if (over(queueGrowth, limits.queueGrowthMegabytes * MB)) {
    return { pace: 'slow', reason: growth };
  }
  return { pace: 'free', reason: '' };
}
