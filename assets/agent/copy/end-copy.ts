import type { Client } from 'pg';
import { truncatedRelations } from '../bucardo/queues';
import { queueOf } from '../capture/names';
import { keyOf } from '../capture/objects';
import type { Relation } from '../catalog/relations';
import { copyRows } from '../catch-up/copy-rows';
import { sameKey } from '../catch-up/queue';
import type { Lease } from '../lease';
import { inTransaction } from '../schema/tried';
import { identList, sql } from '../sql';

/**
 * Ends the copy of a relation whose chunks are all there, and which was read by pages. A row that was changed meanwhile
 * may be there twice, as it was in an earlier page and as it is in a later one, and no key could be built. Every such
 * row's key is in the queue of changes, for catch-up to bring it: so these keys go now. Where the relation is marked
 * instead, as when its key was altered and the queue emptied, all rows go: catch-up copies it whole.
 */
export async function endPagedCopy(source: Client, target: Client, lease: Lease, relation: Relation): Promise<void> {
  await inTransaction(target, async () => {
    await target.query(`SET LOCAL session_replication_role = 'replica'`);
    await lease.hold(target, relation);
    const isMarked = async (): Promise<boolean> => (await truncatedRelations(source, [relation])).length > 0;
    if (!(await isMarked())) await deleteChanged(source, target, relation);
    // Looked at again: a queue that is emptied in between is marked with that.
    if (await isMarked()) await target.query(`TRUNCATE ONLY ${relation.sql}`);
    await noteCopied(target, [relation]);
  });
}

/** Ends the copy of relations whose chunks are all there, and were each one statement's snapshot; all or none. */
export async function endCopies(target: Client, lease: Lease, relations: readonly Relation[]): Promise<void> {
  await inTransaction(target, async () => {
    await lease.holdAll(target, relations);
    await noteCopied(target, relations);
  });
}

async function noteCopied(target: Client, relations: readonly Relation[]): Promise<void> {
  await target.query(
    sql`
      UPDATE ibex.relation r SET copied_at = clock_timestamp(), copied_rows = (
        SELECT coalesce(sum(c.rows), 0) FROM ibex.chunk c
        WHERE c.schema_name = r.schema_name AND c.relation_name = r.relation_name)
      WHERE (schema_name, relation_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))`,
    [relations.map(({ schema }) => schema), relations.map(({ name }) => name)],
  );
}

/** Deletes the rows whose keys were changed since capture began; the queue itself stays as it is. */
async function deleteChanged(source: Client, target: Client, relation: Relation): Promise<void> {
  const queue = queueOf(relation);
  const { rows } = await source.query(`SELECT EXISTS (SELECT FROM ${queue}) AS changed`);
  if (!(rows[0] as { changed: boolean }).changed) return;
  const { columns } = keyOf(relation);
  const names = identList(columns.map((column) => column.name));
  await target.query(
    `CREATE TEMP TABLE ibex_keys ON COMMIT DROP AS SELECT ${names} FROM ONLY ${relation.sql} WHERE false`,
  );
  await copyRows(source, `SELECT DISTINCT ${names} FROM ${queue}`, target, `pg_temp.ibex_keys (${names})`);
  await target.query('ANALYZE pg_temp.ibex_keys');
  await target.query(
    `DELETE FROM ONLY ${relation.sql} AS t USING pg_temp.ibex_keys AS k WHERE ${sameKey(relation, 't', 'k')}`,
  );
}
