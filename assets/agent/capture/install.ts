import type { Client } from 'pg';
import { isGone } from '../catalog/gone';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { guardedAtOnce } from '../fence/transaction';
import { ident } from '../sql';
import { MOST_SYNCS, syncNames, truncateTrigger } from '../bucardo/names';
import { syncCount } from '../sync/count';
import { blockersOf, isBusy, neverFree, pauseAfter, waitGently } from './busy';
import { DELTA_TRIGGER } from './names';
import { queueStatements, triggerStatements } from './objects';

/**
 * Begins the capture of one relation, in a transaction of its own with a short lock time-out: whoever writes it waits
 * no longer than that because of us. Tries again with growing pauses. Returns how many tries there were. Throws Failure
 * with who was in the way.
 *
 * @param attempts how often it is tried. @default as the settings say
 */
export async function installCapture(
  context: Context,
  source: Client,
  relation: Relation,
  attempts: number = context.config.capture.attempts,
): Promise<number> {
  const { lockTimeoutMs } = context.config.capture;
  await source.query(`SET lock_timeout = ${Math.round(lockTimeoutMs)}`);
  for (let attempt = 1; ; attempt += 1) {
    const stale = await presentTriggers(source, relation);
    try {
      // CREATE INDEX waits for the writers of a queue even where the index is there, so the time-out holds here, too.
      for (const statement of queueStatements(relation)) await source.query(statement);
      await once(source, relation, stale, syncNames(syncCount(context.config)), lockTimeoutMs);
      await source.query('SET lock_timeout = 0');
      return attempt;
    } catch (error) {
      if (!isBusy(error)) throw await explain(source, relation, error);
      const blockers = await blockersOf(source, relation.oid, stale.length > 0);
      context.log.warn({ relation: relation.sql, attempt, blockers }, 'relation is busy');
      if (attempt >= attempts)
        throw new Failure(neverFree(relation.sql, { lockTimeoutMs, attempts }, blockers, 'capture'), { cause: error });
      await pauseAfter(attempt);
    }
  }
}

/** What is not there may be ours: the removal of capture takes its schema along. */
async function explain(source: Client, { sql: name }: Relation, error: unknown): Promise<Failure> {
  const isThere = async (): Promise<boolean> =>
    ((await source.query('SELECT FROM pg_class WHERE oid = to_regclass($1)', [name])).rowCount ?? 0) > 0;
  const isDropped = isGone(error) && !(await isThere().catch(() => true));
  const why = isDropped ? 'it was dropped or renamed meanwhile; start capture again' : oneLine(error);
  return new Failure(`capture of ${name} cannot be installed: ${why}`, { cause: error });
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
  lockTimeoutMs: number,
): Promise<void> {
  // One lock request, so that the wait is bounded once and not once per trigger. To drop one shuts out readers as well.
  const mode = stale.length > 0 ? 'ACCESS EXCLUSIVE' : 'SHARE ROW EXCLUSIVE';
  const lock = `LOCK TABLE ONLY ${relation.sql} IN ${mode} MODE`;
  // DROP TRIGGER wants the table's owner even with IF EXISTS, so it is not said where there is nothing to drop.
  const drops = stale.map((trigger) => `DROP TRIGGER ${ident(trigger)} ON ${relation.sql}`);
  const gently = (): Promise<void> => waitGently(source, relation.sql, lockTimeoutMs);
  await guardedAtOnce(source, gently, [lock, ...drops, ...triggerStatements(relation, syncs)]);
}
