import type { Client } from 'pg';
import { CAPTURE_SCHEMA, queueOf, trackOf } from '../capture/names';
import type { Relation } from '../catalog/relations';
import { isLost } from '../lost';
import { literal, qualified, QUOTED_NAME } from '../sql';
import type { DirtyKeys } from '../verify/dirty/dirty-keys';
import { DBGROUP } from './names';

/** Relations in one statement. */
const BATCH = 100;

/** Changes that Bucardo has not applied yet, and the age of the oldest. */
export interface Lag {
  readonly changes: number;
  /** Seconds since the oldest of them was made; 0 when there are none. */
  readonly seconds: number;
}

/** How far the target is behind, on the source's clock. Changes are counted up to `limit` per relation. */
export async function readLag(source: Client, relations: readonly Relation[], limit = 10_000): Promise<Lag> {
  let lag: Lag = { changes: 0, seconds: 0 };
  for (let start = 0; start < relations.length; start += BATCH) {
    const parts = relations.slice(start, start + BATCH).map(
      (relation) => `(SELECT captured_at FROM ${queueOf(relation)} AS d
         WHERE NOT EXISTS (SELECT FROM ${trackOf(relation)} AS t WHERE t.txntime = d.txntime AND t.target = ${literal(DBGROUP)})
         LIMIT ${limit})`,
    );
    const { rows } = await source.query(
      `SELECT count(*)::int AS changes, coalesce(extract(epoch FROM clock_timestamp() - min(captured_at)), 0)::float8 AS seconds
       FROM (${parts.join(' UNION ALL ')}) AS q`,
    );
    const { changes, seconds } = rows[0] as Lag;
    lag = { changes: lag.changes + changes, seconds: Math.max(lag.seconds, seconds) };
  }
  return lag;
}

/**
 * Those of the relations of which Bucardo has noted that it applied something, asked in few statements: most have nothing,
 * and the source may be far away. Where that cannot be said of one, it and its neighbours are among them.
 */
export async function notedRelations(source: Client, relations: readonly Relation[]): Promise<Relation[]> {
  const noted: Relation[] = [];
  for (let start = 0; start < relations.length; start += BATCH) {
    const batch = relations.slice(start, start + BATCH);
    const parts = batch.map((relation, i) => `SELECT ${i} AS i WHERE EXISTS (SELECT FROM ${trackOf(relation)})`);
    try {
      const { rows } = await source.query(parts.join(' UNION ALL '));
      const found = new Set((rows as { i: number }[]).map(({ i }) => i));
      noted.push(...batch.filter((_, i) => found.has(i)));
    } catch (error) {
      if (isLost(error)) throw error;
      noted.push(...batch);
    }
  }
  return noted;
}

/**
 * Forgets what Bucardo has applied and noted: first the changes, then the notes that no change needs any more, in one
 * transaction, so that a run of Bucardo sees both or neither. Replaces Bucardo's own VAC, which is not started when the
 * sync is activated late, and which deletes too much when notes are doubled (Bucardo pull request 260).
 *
 * @param dirty where keys are marked, before they are forgotten, to be compared again. @default nowhere
 */
export async function purgeApplied(source: Client, relation: Relation, dirty?: DirtyKeys): Promise<number> {
  await source.query('BEGIN');
  try {
    const deletion = `DELETE FROM ${queueOf(relation)} AS d USING ${trackOf(relation)} AS t
      WHERE t.txntime = d.txntime AND t.target = ${literal(DBGROUP)}`;
    const forgotten = dirty ? await dirty.forget(source, relation, deletion) : (await source.query(deletion)).rowCount;
    await source.query(
      `DELETE FROM ${trackOf(relation)} AS t WHERE NOT EXISTS (SELECT FROM ${queueOf(relation)} AS d WHERE d.txntime = t.txntime);
      COMMIT`,
    );
    return forgotten ?? 0;
  } catch (error) {
    await source.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Which of these relations were truncated and must be copied anew, which only catch-up can do. */
export async function truncatedRelations(source: Client, relations: readonly Relation[]): Promise<Relation[]> {
  const { rows } = await source.query(
    `SELECT DISTINCT ${QUOTED_NAME} AS name FROM ${qualified(CAPTURE_SCHEMA, 'ibex_truncated')}
     WHERE (schema_name, relation_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))`,
    [relations.map((relation) => relation.schema), relations.map((relation) => relation.name)],
  );
  const names = new Set((rows as { name: string }[]).map(({ name }) => name));
  return relations.filter((relation) => names.has(relation.sql));
}
