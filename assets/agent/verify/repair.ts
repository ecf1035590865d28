import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { DBGROUP } from '../bucardo/names';
import { queueOf, trackOf } from '../capture/names';
import { keyOf } from '../capture/objects';
import { keyArray } from '../catalog/key-text';
import type { Relation } from '../catalog/relations';
import { Failure } from '../errors';
import { identList, literal, sql } from '../sql';

/** Shortest time between two looks; milliseconds. */
const POLL_MS = 250;

/** Share of the time in which the source is asked, since the keys may wait behind a long queue. */
const ASKED = 0.1;

/**
 * Puts keys into the relation's queue of changes on the source, as its trigger would: whoever applies changes then
 * deletes them on the target and inserts the source's rows of them. Durable when it returns. Throws Failure where the
 * relation has no usable key.
 *
 * @param keys each with its columns as text, in the key's order
 */
export async function queueKeys(
  source: Client,
  relation: Relation,
  keys: readonly (readonly string[])[],
): Promise<void> {
  const { columns } = keyOf(relation);
  await source.query(
    sql`
      INSERT INTO ${queueOf(relation)} (${identList(columns.map((column) => column.name))})
      SELECT ${columns.map((column, i) => `w.k${i}::${column.baseType}`).join(', ')}
      FROM unnest(${columns.map((column, i) => `$${i + 1}::${keyArray(column)}`).join(', ')}) AS w (${columns.map((_, i) => `k${i}`).join(', ')})`,
    columns.map((_, i) => keys.map((key) => key[i])),
  );
}

/**
 * Waits until everything is applied that stands in the relations' queues now. Throws Failure that names what is left when
 * nothing gets less for so long.
 *
 * @param patienceSeconds longest time without any progress
 * @param onLeft told of the changes that are left, at each look
 */
export async function untilApplied(
  source: Client,
  relations: readonly Relation[],
  patienceSeconds: number,
  onLeft: (changes: number) => void,
): Promise<void> {
  const { rows } = await source.query('SELECT clock_timestamp()::text AS now');
  const { now } = rows[0] as { now: string };
  let least = Infinity;
  let since = performance.now();
  for (;;) {
    const left: { relation: Relation; changes: number }[] = [];
    const asked = performance.now();
    for (const relation of relations) {
      const changes = await unapplied(source, relation, now);
      if (changes > 0) left.push({ relation, changes });
    }
    const sum = left.reduce((total, { changes }) => total + changes, 0);
    const took = performance.now() - asked;
    onLeft(sum);
    if (sum === 0) return;
    if (sum < least) {
      least = sum;
      since = performance.now();
    }
    if (performance.now() - since > patienceSeconds * 1000) {
      const names = left.map(({ relation, changes }) => `${relation.sql} (${changes})`).join(', ');
      throw new Failure(
        `the differing keys were handed over, but for ${patienceSeconds} s nobody applied any: ${names} changes are left; look whether sync runs, and start verify again`,
      );
    }
    await sleep(Math.max(POLL_MS, took / ASKED));
  }
}

/** Changes up to a moment that nobody has applied: not forgotten, and not noted by Bucardo as done. */
async function unapplied(source: Client, relation: Relation, upTo: string): Promise<number> {
  const track = trackOf(relation);
  const { rows } = await source.query(
    sql`
      SELECT count(*)::int AS changes FROM ${queueOf(relation)} AS d WHERE d.captured_at <= $1
        AND NOT EXISTS (SELECT FROM ${track} AS t WHERE t.txntime = d.txntime AND t.target = ${literal(DBGROUP)})`,
    [upTo],
  );
  return (rows[0] as { changes: number }).changes;
}
