import { join } from 'node:path';
import { DEBIAN_POSTGRES } from '../rehearsal/lab/packages';
import { runProgram } from './program';
import type { BenchServers } from './servers';

/** How much data is made. */
export interface BenchData {
  /** pgbench's scale: 100,000 accounts each, about 15 MB. */
  readonly scale: number;
  /** Rows of the wide table, about 620 bytes each. */
  readonly wideRows: number;
}

/** Rows as applications have them: json, text of some length, numbers, times; five indexes. */
const WIDE = `
  CREATE TABLE wide (
    id bigint NOT NULL, account integer NOT NULL, at timestamptz NOT NULL, kind text NOT NULL, amount numeric(12, 2),
    payload jsonb, note text, token uuid NOT NULL, active boolean);
  INSERT INTO wide SELECT i, (i::bigint * 7919) % 100003, timestamptz '2020-01-01' + i * interval '17 seconds', 'kind ' || i % 50,
    (i % 1000000) / 100.0,
    jsonb_build_object('n', i, 'tags', jsonb_build_array('a', i % 7, md5(i::text)), 'text', repeat(md5((i + 1)::text), 4)),
    repeat(md5((i * 3)::text), 7), md5(i::text)::uuid, i % 3 = 0
  FROM generate_series(1, $ROWS) AS i;
  ALTER TABLE wide ADD PRIMARY KEY (id);
  CREATE INDEX wide_account ON wide (account);
  CREATE INDEX wide_at ON wide (at);
  CREATE INDEX wide_kind ON wide (kind, at);
  CREATE INDEX wide_token ON wide (token);`;

/** Makes the source's database and fills it. Returns its size; bytes. */
export async function makeData(servers: BenchServers, database: string, data: BenchData): Promise<number> {
  const admin = await servers.connect('source');
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  const args = ['--initialize', '--quiet', `--scale=${data.scale}`, servers.address('source', database)];
  const client = await servers.connect('source', database);
  try {
    // Side by side, a core each.
    await Promise.all([
      runProgram(join(DEBIAN_POSTGRES, 'pgbench'), args, servers.environment),
      client.query(WIDE.replace('$ROWS', String(data.wideRows))),
    ]);
    await client.query('ALTER TABLE pgbench_history ADD id bigserial PRIMARY KEY');
    await client.query('VACUUM ANALYZE');
    await client.query('CHECKPOINT');
    const { rows } = await client.query('SELECT pg_database_size(current_database())::float8 AS bytes');
    return (rows[0] as { bytes: number }).bytes;
  } finally {
    await client.end();
  }
}

/** Makes the source's database with many tables that refer to each other, of a few rows and two indexes each. */
export async function makeManyTables(servers: BenchServers, database: string, tables: number): Promise<void> {
  const admin = await servers.connect('source');
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  const client = await servers.connect('source', database);
  try {
    for (let n = 1; n <= tables; n += 1) {
      const parent = n === 1 ? 'bigint' : `bigint REFERENCES table_${n - 1}`;
      await client.query(
        `CREATE TABLE table_${n} (id bigint PRIMARY KEY, parent ${parent}, at timestamptz DEFAULT now(), note text);
         INSERT INTO table_${n} SELECT i, i, timestamptz '2020-01-01', 'note ' || i FROM generate_series(1, 10) AS i;
         CREATE INDEX ON table_${n} (at)`,
      );
    }
    await client.query('VACUUM ANALYZE');
  } finally {
    await client.end();
  }
}

/** Removes a database from both ends. */
export async function dropDatabase(servers: BenchServers, database: string): Promise<void> {
  for (const end of ['source', 'target'] as const) {
    const admin = await servers.connect(end);
    await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    await admin.end();
  }
}

/** Removes all databases of the benchmarks, except those of the source that are kept. */
export async function removeDatabases(servers: BenchServers, kept: readonly string[]): Promise<void> {
  for (const end of ['source', 'target'] as const) {
    const admin = await servers.connect(end);
    try {
      await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active');
      const { rows } = await admin.query<{ name: string }>(
        `SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`,
      );
      for (const { name } of rows) {
        if (end === 'target' || !kept.includes(name)) await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
      }
    } finally {
      await admin.end();
    }
  }
}
