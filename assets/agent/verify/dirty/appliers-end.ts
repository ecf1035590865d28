import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Failure } from '../../errors';
import { sql } from '../../sql';

/** Purposes of sessions that forget changes. */
const APPLIERS = ['ibex supervise', 'ibex catch-up', 'ibex sync', 'ibex cutover'];

/** How long a transaction may take where nobody is told of the wait; milliseconds. */
const PATIENCE_MS = 60_000;

/** Pauses between two looks; milliseconds. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** How much of a statement is told; characters. */
const SHOWN = 120;

/** A transaction of an applier, and what it does. */
interface Applying {
  readonly pid: number;
  readonly application: string;
  readonly state: string;
  readonly seconds: number;
  readonly query: string;
}

/** In words, without the values in its statement. */
function describe({ pid, application, state, seconds, query }: Applying): string {
  const statement = query
    .replace(/'[^']*('|$)/g, '?')
    .replace(/\s+/g, ' ')
    .slice(0, SHOWN);
  return `pid ${pid} (${application}, ${state}, for ${Math.round(seconds)} s): ${statement}`;
}

/**
 * Returns once every transaction of an applier has ended that is under way now.
 *
 * @param onWait told, again and again, whose transaction is waited for, however long it takes. @default Failure, which says
 * so, after a minute
 */
export async function untilAppliersEnd(source: Client, onWait?: (whom: string) => void): Promise<void> {
  const { rows } = await source.query('SELECT clock_timestamp()::text AS now');
  const { now } = rows[0] as { now: string };
  const began = performance.now();
  // Ever less often: the wait may take hours, and each look is the source's work.
  for (; ; await sleep(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS + (performance.now() - began) / 20))) {
    const found = await source.query<Applying>(
      sql`
        SELECT pid, application_name AS application, coalesce(state, '') AS state, coalesce(query, '') AS query,
          extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
        FROM pg_stat_activity WHERE application_name = ANY ($1) AND datname = current_database()
          AND pid <> pg_backend_pid() AND xact_start <= $2 ORDER BY xact_start`,
      [APPLIERS, now],
    );
    const [oldest] = found.rows;
    if (oldest === undefined) return;
    if (onWait) onWait(`waiting for a transaction that applies changes, ${describe(oldest)}`);
    else if (performance.now() - began > PATIENCE_MS)
      throw new Failure(`a transaction that applies changes does not end: ${describe(oldest)}; try again once it has`);
  }
}
