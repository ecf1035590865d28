import type { Client } from 'pg';
import { sql } from '../sql';

/** Sessions of one kind of client on the end that is left. */
export interface Seen {
  readonly user: string;
  readonly application: string;
  /** Those that sent a statement since writes were stopped. */
  readonly asked: number;
  /** Those of which our login may not see that. */
  readonly hidden: number;
}

/** Sessions of others on this database, as an item of FROM with its condition. */
export const OTHERS = sql`
  pg_catalog.pg_stat_activity
  WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend'
    AND pid <> pg_backend_pid() AND coalesce(application_name, '') !~ '^(ibex|bucardo)'`;

/** What a login may not see of others is null, but for name and application. */
const SEEN = sql`
  SELECT coalesce(usename, 'unknown') AS user, coalesce(application_name, '') AS application,
    (count(*) FILTER (WHERE query_start > $1::timestamptz + $2 * interval '1 millisecond'))::int AS asked,
    (count(*) FILTER (WHERE state IS NULL))::int AS hidden
  FROM ${OTHERS}
  GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`;

/** The question of `readRolledBack`, for evidence. */
export const ROLLED_BACK = sql`
  SELECT xact_rollback::float8 AS count FROM pg_catalog.pg_stat_database WHERE datname = current_database()`;

/** One moment on the clock of this end, which may be another, and on ours. */
export interface Moment {
  readonly there: string;
  /** As performance.now() says; milliseconds, a little late. */
  readonly here: number;
}

/** Reads both clocks. */
export async function readMoment(client: Client): Promise<Moment> {
  const { rows } = await client.query<{ there: string }>('SELECT clock_timestamp()::text AS there');
  return { there: rows[0]?.there ?? '', here: performance.now() };
}

/** Who has asked this end for something since then. @param since as performance.now() says */
export async function readSeen(client: Client, { there, here }: Moment, since: number): Promise<Seen[]> {
  return (await client.query<Seen>(SEEN, [there, since - here])).rows;
}

/** Transactions that this database has rolled back since its statistics began. */
export async function readRolledBack(client: Client): Promise<number> {
  return Number((await client.query<{ count: number }>(ROLLED_BACK)).rows[0]?.count ?? 0);
}
