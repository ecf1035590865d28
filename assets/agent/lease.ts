import type { Client } from 'pg';
import type { Relation } from './catalog/relations';
import { Failure } from './errors';
import { QUOTED_NAME, sql } from './sql';

/** Who may write a relation on the target. */
export type Applier = 'copy' | 'catch-up' | 'bucardo';

const TABLES = [
  'CREATE SCHEMA IF NOT EXISTS ibex',
  'CREATE SEQUENCE IF NOT EXISTS ibex.generation',
  sql`
    CREATE TABLE IF NOT EXISTS ibex.relation (
      schema_name text NOT NULL,
      relation_name text NOT NULL,
      applier text NOT NULL DEFAULT 'copy' CHECK (applier IN ('copy', 'catch-up', 'bucardo')),
      generation bigint NOT NULL DEFAULT 0,
      copied_at timestamptz,
      copied_rows bigint,
      PRIMARY KEY (schema_name, relation_name))`,
];

const UNDEFINED_TABLE = '42P01';

/** Somebody else may write now: whatever this process still does, it must stop. */
export class LeaseLost extends Failure {}

/** Makes the table of leases on the target, with a row for each relation that has none. */
export async function prepareLeases(target: Client, relations: readonly Relation[]): Promise<void> {
  await target.query('SET client_min_messages = warning');
  for (const table of TABLES) await target.query(table);
  await target.query(
    sql`
      INSERT INTO ibex.relation (schema_name, relation_name)
      SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING`,
    [relations.map((relation) => relation.schema), relations.map((relation) => relation.name)],
  );
}

/**
 * The right to write relations on the target. Taking it raises the generation, so that whoever held it before, and may
 * still be at work somewhere, is refused by its next transaction: a stale applier makes deleted rows come back.
 */
export class Lease {
  private constructor(
    readonly applier: Applier,
    readonly generation: string,
  ) {}

  /**
   * Takes relations at once; waits for transactions of the present holder that are under way.
   *
   * @param relations @default all
   */
  static async take(target: Client, applier: Applier, relations?: readonly Relation[]): Promise<Lease> {
    const { rows } = await target.query(
      sql`
        WITH next AS (SELECT nextval('ibex.generation') AS generation)
        UPDATE ibex.relation SET applier = $1, generation = next.generation FROM next
        WHERE $2::text[] IS NULL OR (schema_name, relation_name) IN (SELECT * FROM unnest($2::text[], $3::text[]))
        RETURNING relation.generation`,
      [
        applier,
        relations?.map((relation) => relation.schema) ?? null,
        relations?.map((relation) => relation.name) ?? null,
      ],
    );
    const first = rows[0] as { generation: string } | undefined;
    if (!first) throw new Failure('the target has no leases yet; start the schema runbook');
    return new Lease(applier, first.generation);
  }

  /** The lease that another process of ours has taken and told of, for work that several processes share. */
  static shared(applier: Applier, generation: string): Lease {
    return new Lease(applier, generation);
  }

  /**
   * To be called first in each target transaction that writes the relation: locks its lease until commit.
   *
   * @param beside whether other transactions under the same lease may write the relation meanwhile. @default alone
   */
  async hold(target: Client, relation: Relation, beside: 'alone' | 'others' = 'alone'): Promise<void> {
    await this.holdAll(target, [relation], beside);
  }

  /** The same for a transaction that writes several relations. */
  async holdAll(target: Client, relations: readonly Relation[], beside: 'alone' | 'others' = 'alone'): Promise<void> {
    const { rows } = await target.query(
      sql`
        SELECT schema_name AS schema, relation_name AS name, applier, generation FROM ibex.relation
        WHERE (schema_name, relation_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY schema_name, relation_name FOR ${beside === 'alone' ? 'UPDATE' : 'SHARE'}`,
      [relations.map((relation) => relation.schema), relations.map((relation) => relation.name)],
    );
    const held = rows as { schema: string; name: string; applier: Applier; generation: string }[];
    for (const relation of relations) {
      const now = held.find(({ schema, name }) => schema === relation.schema && name === relation.name);
      if (now?.applier === this.applier && now.generation === this.generation) continue;
      throw new LeaseLost(
        `${relation.sql} on the target belongs to ${now?.applier ?? 'nobody'} (generation ${now?.generation ?? '-'}), not to this ${this.applier} (generation ${this.generation}): another run has taken over; nothing was written`,
      );
    }
  }
}

/** Throws Failure where the table is not there: the target was emptied, or another one is in its place. */
async function readLeases<T extends object>(target: Client, query: string): Promise<T[]> {
  try {
    return (await target.query<T>(query)).rows;
  } catch (error) {
    if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error;
    throw new Failure(
      'the target is not the one that this migration was begun on, or was emptied since: it has no table ibex.relation; run cleanup and migrate again',
    );
  }
}

/** Quoted names of the relations that are to be copied and are not, or not all of them. */
export async function uncopiedRelations(target: Client): Promise<Set<string>> {
  const query = `SELECT ${QUOTED_NAME} AS name FROM ibex.relation WHERE copied_at IS NULL`;
  return new Set((await readLeases<{ name: string }>(target, query)).map(({ name }) => name));
}

/** Which relations have been copied, by quoted name, with their rows. */
export async function copiedRelations(target: Client): Promise<Map<string, number>> {
  const query = `SELECT ${QUOTED_NAME} AS name, copied_rows AS rows FROM ibex.relation WHERE copied_at IS NOT NULL`;
  const found = await readLeases<{ name: string; rows: string }>(target, query);
  return new Map(found.map(({ name, rows }) => [name, Number(rows)]));
}
