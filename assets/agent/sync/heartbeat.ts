import type { Client } from 'pg';
import { DELTA_TRIGGER } from '../capture/names';
import { queueStatements, triggerStatements } from '../capture/objects';
import type { Relation } from '../catalog/relations';
import { hasSchema } from '../catalog/schemas';
import { ident, literal, qualified, sql } from '../sql';
import type { Ends } from './applier';

/** Schema of the heartbeats on both ends; it is hidden from everything that looks at the application's tables. */
const SCHEMA = 'ibex';

const PREFIX = 'heartbeat_';

/** The heartbeat of a sync, as a relation that is captured and replicated like any other. */
export function heartbeatOf(sync: string): Relation {
  const name = `${PREFIX}${sync}`;
  return {
    oid: 0,
    schema: SCHEMA,
    name,
    sql: qualified(SCHEMA, name),
    owner: '',
    isPartition: false,
    unlogged: false,
    inherits: false,
    columns: [
      { name: 'id', type: 'integer', typeOid: 23, notNull: true, generated: false },
      { name: 'beat', type: 'timestamp with time zone', typeOid: 1184, notNull: true, generated: false },
    ],
    key: {
      indexOid: 0,
      indexName: `${name}_pkey`,
      primary: true,
      columns: [
        {
          name: 'id',
          type: 'integer',
          baseType: 'integer',
          equals: 'OPERATOR("pg_catalog".=)',
          operatorSchema: 'pg_catalog',
        },
      ],
    },
    otherUnique: false,
    bytes: 0,
    rows: 1,
  };
}

/**
 * Makes the table of each sync's heartbeat on both ends, and its capture on the source. Nobody but us writes it, so no
 * lock is waited for. May be repeated.
 */
export async function prepareHeartbeats({ source, target }: Ends, syncs: readonly string[]): Promise<Relation[]> {
  const relations = syncs.map(heartbeatOf);
  for (const client of [source, target]) {
    await client.query('SET client_min_messages = warning');
    if (!(await hasSchema(client, SCHEMA))) await client.query(`CREATE SCHEMA ${ident(SCHEMA)}`);
    for (const relation of relations) {
      await client.query(
        `CREATE TABLE IF NOT EXISTS ${relation.sql} (id integer PRIMARY KEY, beat timestamptz NOT NULL)`,
      );
    }
  }
  for (const [index, relation] of relations.entries()) {
    await capture(source, relation, syncs[index] ?? '');
    await source.query(`INSERT INTO ${relation.sql} VALUES (1, clock_timestamp()) ON CONFLICT DO NOTHING`);
  }
  return relations;
}

async function capture(source: Client, relation: Relation, sync: string): Promise<void> {
  for (const statement of queueStatements(relation)) await source.query(statement);
  const { rowCount } = await source.query('SELECT 1 FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = $2', [
    relation.sql,
    DELTA_TRIGGER,
  ]);
  if (rowCount !== 0) return;
  await source.query(['BEGIN', ...triggerStatements(relation, [sync]), 'COMMIT'].join(';\n'));
}

/** Heartbeats that stand on an end, by quoted name. */
async function heartbeatTables(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    sql`
      SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = ${literal(SCHEMA)} AND c.relkind = 'r' AND left(c.relname, ${PREFIX.length}) = ${literal(PREFIX)}
      ORDER BY 1`,
  );
  return (rows as { name: string }[]).map(({ name }) => qualified(SCHEMA, name));
}

/** Removes the heartbeats of an end whose schema stays, since the fence is in it. */
export async function dropHeartbeats(client: Client): Promise<void> {
  for (const table of await heartbeatTables(client)) await client.query(`DROP TABLE IF EXISTS ${table}`);
}
