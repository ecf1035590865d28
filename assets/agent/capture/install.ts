import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { ident, sql } from '../sql';
import { MOST_SYNCS, syncNames, truncateTrigger } from '../bucardo/names';
import { syncCount } from '../sync/count';
import { DELTA_TRIGGER } from './names';
import { queueStatements, triggerStatements } from './objects';

/** Pauses between tries on a busy relation; milliseconds. Jitter keeps two of us from meeting again and again. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** After which the server ends the transaction of a host that is frozen or gone, with its lock; milliseconds. */
const IDLE_MS = 4_000;

/** Who holds the relation so that our lock has to wait; readers are in the way of an exclusive one only. */
const BLOCKERS = sql`
  SELECT a.pid, a.usename AS user, a.application_name AS application, a.state,
    round(extract(epoch FROM clock_timestamp() - a.xact_start)) AS seconds, left(a.query, 120) AS query
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'relation' AND l.relation = $1 AND l.granted AND a.pid <> pg_backend_pid()
    AND ($2 OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))
  GROUP BY a.pid, a.usename, a.application_name, a.state, a.xact_start, a.query
  ORDER BY a.xact_start LIMIT 5`;

/** Whether the server gave up a lock request or broke a deadlock, so that trying again makes sense. */
const isBusy = (error: unknown): boolean => ['55P03', '40P01'].includes((error as { code?: string }).code ?? '');

/**
 * Begins the capture of one relation, in a transaction of its own with a short lock time-out: whoever writes it waits
 * no longer than that because of us. Tries again with growing pauses. Throws Failure with who was in the way.
 */
export async function installCapture(context: Context, source: Client, relation: Relation): Promise<number> {
  const { lockTimeoutMs, attempts } = context.config.capture;
  await source.query(`SET lock_timeout = ${Math.round(lockTimeoutMs)}`);
  for (let attempt = 1; ; attempt += 1) {
    const stale = await presentTriggers(source, relation);
    try {
      // CREATE INDEX waits for the writers of a queue even where the index is there, so the time-out holds here, too.
      for (const statement of queueStatements(relation)) await source.query(statement);
      await once(source, relation, stale, syncNames(syncCount(context.config)));
      await source.query('SET lock_timeout = 0');
      return attempt;
    } catch (error) {
      await source.query('ROLLBACK');
      if (!isBusy(error)) throw new Failure(`capture of ${relation.sql} cannot be installed: ${oneLine(error)}`);
      const { rows } = await source.query(BLOCKERS, [relation.oid, stale.length > 0]);
      context.log.warn({ relation: relation.sql, attempt, blockers: rows }, 'relation is busy');
      if (attempt >= attempts) throw new Failure(busy(relation, attempts, lockTimeoutMs, rows));
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
      await sleep(pause * (0.5 + Math.random()));
    }
  }
}

async function presentTriggers(source: Client, relation: Relation): Promise<string[]> {
  const { rows } = await source.query(
    'SELECT tgname FROM pg_trigger WHERE tgrelid = $1 AND tgname = ANY ($2::name[])',
    [relation.oid, [...syncNames(MOST_SYNCS).map(truncateTrigger), DELTA_TRIGGER]],
  );
  return (rows as { tgname: string }[]).map((row) => row.tgname);
}

async function once(
  source: Client,
  relation: Relation,
  stale: readonly string[],
  syncs: readonly string[],
): Promise<void> {
  await source.query(`BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_MS}`);
  // One lock request, so that the wait is bounded once and not once per trigger. To drop one shuts out readers as well.
  const mode = stale.length > 0 ? 'ACCESS EXCLUSIVE' : 'SHARE ROW EXCLUSIVE';
  await source.query(`LOCK TABLE ONLY ${relation.sql} IN ${mode} MODE`);
  // DROP TRIGGER wants the table's owner even with IF EXISTS, so it is not said where there is nothing to drop.
  for (const trigger of stale) await source.query(`DROP TRIGGER ${ident(trigger)} ON ${relation.sql}`);
  for (const statement of triggerStatements(relation, syncs)) await source.query(statement);
  await source.query('COMMIT');
}

function busy(relation: Relation, attempts: number, lockTimeoutMs: number, blockers: unknown[]): string {
  const who = (blockers as { pid: number; user: string; application: string; seconds: string; query: string }[]).map(
    (row) => `pid ${row.pid} (${row.user}, ${row.application}, ${row.seconds} s): ${row.query}`,
  );
  return `${relation.sql} was never free for ${lockTimeoutMs} ms in ${attempts} tries; in the way: ${who.join('; ') || 'nobody at this moment'}; end that, or wait, and start capture again`;
}
