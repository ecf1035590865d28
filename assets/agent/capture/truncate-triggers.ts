import type { Client } from 'pg';
import { syncNames, truncateTrigger } from '../bucardo/names';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { oneLine } from '../errors';
import { guardedAtOnce } from '../fence/transaction';
import { sql } from '../sql';
import { syncCount } from '../sync/count';
import { waitGently } from './busy';
import { truncateFunctionStatement, truncateStatement } from './objects';

const MISSING = sql`
  SELECT r.oid::int8 AS oid, s.name AS sync FROM unnest($1::oid[]) AS r (oid) CROSS JOIN unnest($2::text[], $3::text[]) AS s (name, trigger)
  WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = r.oid AND t.tgname = s.trigger AND t.tgenabled IN ('O', 'A'))`;

async function missing(
  source: Client,
  relations: readonly Relation[],
  syncs: readonly string[],
): Promise<{ relation: Relation; sync: string }[]> {
  const byOid = new Map(relations.map((relation) => [relation.oid, relation]));
  const { rows } = await source.query(MISSING, [[...byOid.keys()], syncs, syncs.map(truncateTrigger)]);
  return (rows as { oid: string; sync: string }[]).flatMap(({ oid, sync }) => {
    const relation = byOid.get(Number(oid));
    return relation ? [{ relation, sync }] : [];
  });
}

/**
 * Syncs that any relation may be in: those whose trigger stands on all of them. More syncs may have been asked for since
 * capture, and for the others Bucardo would make triggers of its own, all in one transaction that holds every lock.
 */
export async function possibleSyncs(
  context: Context,
  source: Client,
  relations: readonly Relation[],
): Promise<string[]> {
  const wanted = syncNames(syncCount(context.config));
  const without = new Set((await missing(source, relations, wanted)).map(({ sync }) => sync));
  const possible = wanted.filter((sync) => !without.has(sync));
  if (possible.length < wanted.length) {
    context.log.warn(
      { wanted: wanted.length, possible },
      'fewer syncs than asked for; start capture to allow the others',
    );
  }
  return possible;
}

/** Adds the triggers of syncs that were asked for after capture. A relation that is busy is left for the next run. */
export async function addTruncateTriggers(
  context: Context,
  source: Client,
  relations: readonly Relation[],
): Promise<void> {
  const wanted = syncNames(syncCount(context.config));
  for (const { relation, sync } of await missing(source, relations, wanted)) {
    try {
      // Capture of an older Ibex has left the relation without.
      await source.query(truncateFunctionStatement(relation));
      const { lockTimeoutMs } = context.config.capture;
      const gently = (): Promise<void> => waitGently(source, relation.sql, lockTimeoutMs);
      await guardedAtOnce(source, gently, [truncateStatement(relation, sync)]);
    } catch (error) {
      context.log.warn({ relation: relation.sql, sync, cause: oneLine(error) }, 'trigger not added');
    }
  }
}
