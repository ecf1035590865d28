import { statfs } from 'node:fs/promises';
import type { Client } from 'pg';
import { CAPTURE_SCHEMA } from '../capture/names';
import type { BrakeConfig } from '../config';
import { literal, sql } from '../sql';
import type { Pace } from './paced';

/** How the source and the host are, as far as our work could hurt them. */
export interface Readings {
  /** Active sessions of others on the source. A login that may not see others' sessions sees none. */
  readonly active: number;
  /** Longest wait of somebody else for a lock that one of our sessions holds; milliseconds. */
  readonly lockWaitMs: number;
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
  WITH waiting AS (
    SELECT a.pid, extract(epoch FROM clock_timestamp() - coalesce(a.query_start, a.xact_start)) * 1000 AS ms
    FROM pg_stat_activity a WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND NOT ${OURS})
  SELECT
    (SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND NOT ${OURS})::int AS active,
    (SELECT coalesce(max(w.ms), 0) FROM waiting w WHERE EXISTS (
      SELECT FROM unnest(pg_blocking_pids(w.pid)) AS b (pid) JOIN pg_stat_activity o ON o.pid = b.pid WHERE ${OURS}))::float8
      AS "lockWaitMs"`;

const QUEUES = sql`
  SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::float8 AS "queueBytes" FROM pg_class c
  WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = ${literal(CAPTURE_SCHEMA)})`;

/** Reads load and lock waits of the source. */
export async function readLoad(source: Client): Promise<Pick<Readings, 'active' | 'lockWaitMs'>> {
  return (await source.query(LOAD)).rows[0] as Pick<Readings, 'active' | 'lockWaitMs'>;
}

/** Reads what capture takes of the source's disk. */
export async function readQueueBytes(source: Client): Promise<number> {
  return ((await source.query(QUEUES)).rows[0] as { queueBytes: number }).queueBytes;
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
}

const MB = 1_000_000;

/** Holds the readings against the limits of the settings. */
export function judge(readings: Readings, limits: BrakeConfig): Verdict {
  const { active, lockWaitMs, queueBytes, queueGrowth, hostFreeBytes } = readings;
  const over = (value: number, limit: number): boolean => limit > 0 && value >= limit;
  if (over(queueBytes, limits.queueMegabytes * MB)) {
    return {
      pace: 'off',
      reason: `the captured changes take ${Math.round(queueBytes / MB)} MB of the source's disk, and brake.queueMegabytes is ${limits.queueMegabytes}`,
    };
  }
  if (over(lockWaitMs, limits.lockWaitMs)) {
    return { pace: 'paused', reason: `a session of the source waits ${Math.round(lockWaitMs)} ms for a lock of ours` };
  }
  if (over(active, limits.pauseSessions)) {
    return { pace: 'paused', reason: `${active} sessions are active on the source` };
  }
  if (limits.hostFreeMegabytes > 0 && hostFreeBytes < limits.hostFreeMegabytes * MB) {
    return { pace: 'paused', reason: `${Math.round(hostFreeBytes / MB)} MB are free on the host's disk` };
  }
  if (over(active, limits.slowSessions)) {
    return { pace: 'slow', reason: `${active} sessions are active on the source` };
  }
  if (over(queueGrowth, limits.queueGrowthMegabytes * MB)) {
    return { pace: 'slow', reason: `the captured changes grow by ${Math.round(queueGrowth / MB)} MB a minute` };
  }
  return { pace: 'free', reason: '' };
}
