import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import { literal, QUOTED_NAME, sql } from '../sql';
import type { Chunk } from './schedule';

const TABLES = [
  sql`
    CREATE TABLE IF NOT EXISTS ibex.copy_plan (
      schema_name text NOT NULL,
      relation_name text NOT NULL,
      plan text NOT NULL,
      PRIMARY KEY (schema_name, relation_name))`,
  sql`
    CREATE TABLE IF NOT EXISTS ibex.chunk (
      schema_name text NOT NULL,
      relation_name text NOT NULL,
      number int NOT NULL,
      plan text NOT NULL,
      rows bigint NOT NULL,
      bytes bigint NOT NULL,
      copied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (schema_name, relation_name, number))`,
];

/** Relations in one statement that looks for rows. */
const BATCH = 200;

/** Makes the tables, on the target, that say which chunks are there. A chunk's row and its rows are one transaction. */
export async function prepareTargetPlan(target: Client): Promise<void> {
  await target.query('SET client_min_messages = warning');
  for (const table of TABLES) await target.query(table);
}

/** The plan under which each relation, by quoted name, is being copied. */
export async function targetPlans(target: Client): Promise<Map<string, string>> {
  const { rows } = await target.query(`SELECT ${QUOTED_NAME} AS relation, plan FROM ibex.copy_plan`);
  return new Map((rows as { relation: string; plan: string }[]).map((row) => [row.relation, row.plan]));
}

/** All chunks that the target has, with the rows that COPY counted. */
export async function doneChunks(target: Client): Promise<{ relation: string; number: number; rows: number }[]> {
  const { rows } = await target.query(
    `SELECT ${QUOTED_NAME} AS relation, number, rows::float8 AS rows FROM ibex.chunk JOIN ibex.copy_plan
     USING (schema_name, relation_name, plan)`,
  );
  return rows as { relation: string; number: number; rows: number }[];
}

/** Rows that were copied in any way, those of relations that are not complete included. */
export async function copiedRows(target: Client): Promise<number> {
  const { rows } = await target.query(sql`
    SELECT (SELECT coalesce(sum(copied_rows), 0) FROM ibex.relation WHERE copied_at IS NOT NULL)::float8
      + (SELECT coalesce(sum(c.rows), 0) FROM ibex.chunk c JOIN ibex.relation r USING (schema_name, relation_name)
        WHERE r.copied_at IS NULL)::float8 AS rows`);
  return (rows[0] as { rows: number }).rows;
}

/** Of these relations, by quoted name, those that hold a row on the target. */
export async function withRows(target: Client, relations: readonly Relation[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (let start = 0; start < relations.length; start += BATCH) {
    const parts = relations
      .slice(start, start + BATCH)
      .map((relation) => `SELECT ${literal(relation.sql)} AS relation WHERE EXISTS (SELECT FROM ONLY ${relation.sql})`);
    const { rows } = await target.query(parts.join(' UNION ALL '));
    for (const row of rows as { relation: string }[]) found.add(row.relation);
  }
  return found;
}

/** Notes by which plan each relation is copied; chunks of earlier plans are void. To be called in a transaction. */
export async function beginPlans(
  target: Client,
  plans: readonly { readonly relation: Relation; readonly plan: string }[],
): Promise<void> {
  const names = [plans.map(({ relation }) => relation.schema), plans.map(({ relation }) => relation.name)];
  await target.query(
    'DELETE FROM ibex.chunk WHERE (schema_name, relation_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))',
    names,
  );
  await target.query(
    sql`
      INSERT INTO ibex.copy_plan (schema_name, relation_name, plan)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
      ON CONFLICT (schema_name, relation_name) DO UPDATE SET plan = excluded.plan`,
    [...names, plans.map(({ plan }) => plan)],
  );
}

/** What the target says of a chunk: its rows when it is there. To be asked after the lease is held. */
export async function chunkRows(target: Client, relation: Relation, chunk: Chunk): Promise<number | undefined> {
  const { rows } = await target.query(
    'SELECT rows::float8 AS rows FROM ibex.chunk WHERE schema_name = $1 AND relation_name = $2 AND number = $3 AND plan = $4',
    [relation.schema, relation.name, chunk.number, chunk.plan],
  );
  return (rows[0] as { rows: number } | undefined)?.rows;
}

/** To be called in the transaction that brings the rows. */
export async function markChunk(
  target: Client,
  relation: Relation,
  chunk: Chunk,
  copied: { readonly rows: number; readonly bytes: number },
): Promise<void> {
  await target.query(
    'INSERT INTO ibex.chunk (schema_name, relation_name, number, plan, rows, bytes) VALUES ($1, $2, $3, $4, $5, $6)',
    [relation.schema, relation.name, chunk.number, chunk.plan, copied.rows, copied.bytes],
  );
}
