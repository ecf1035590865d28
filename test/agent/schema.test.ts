import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Client } from 'pg';
import type { AgentConfig } from '../../assets/agent/config';
import { copySchema } from '../../assets/agent/schema';
import { PASSWORD, startMigration, type TestMigration } from '../helpers/migration';
import { CATALOG_QUERIES, RICH_SCHEMA } from '../helpers/rich-schema';

let migration: TestMigration;
let source: Client;
let target: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  target = await migration.admin('target');
  await source.query(RICH_SCHEMA);
  await source.query(`ALTER DATABASE ${migration.config.source.database} OWNER TO app_owner`);
});
afterAll(() => migration.stop());

const config = (): Partial<AgentConfig> => ({ applicationLogins: { application: 'login' } });

async function run(overrides: Partial<AgentConfig> = config()): ReturnType<typeof copySchema> {
  const context = await migration.context('schema', overrides);
  try {
    return await copySchema(context);
  } finally {
    await context.close();
  }
}

const tables = async (): Promise<number> => {
  const { rows } = await target.query(
    `SELECT count(*)::int AS n FROM pg_tables WHERE schemaname IN ('my App', 'sales')`,
  );
  return (rows[0] as { n: number }).n;
};

it('makes nothing when one definition is impossible there, and names that one', async () => {
  await source.query(
    `CREATE TABLE sales.odd (id int PRIMARY KEY); CREATE VIEW sales.gone AS SELECT abstime 'now' AS x`,
  );
  await expect(run()).rejects.toThrow(/gone, VIEW, sales cannot be made on the target: .*abstime.*nothing was made/);
  expect(await tables()).toBe(0);
  await source.query('DROP VIEW sales.gone; DROP TABLE sales.odd');
});

it('begins again after a kill between its steps, with what the source holds then', async () => {
  const dead = await migration.context('schema', config());
  const connect = dead.connect.bind(dead);
  dead.connect = async (end, purpose) => {
    const client = await connect(end, purpose);
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      if (String(args[0]).startsWith('INSERT INTO ibex.restored')) throw new Error('killed');
      return query(...args);
    }) as typeof client.query;
    return client;
  };
  await expect(copySchema(dead)).rejects.toThrow('killed');
  await dead.close();
  expect(await tables()).toBe(0);

  const { result } = await run();
  expect(result).toMatchObject({ tables: 6, roles: { withoutPassword: ['forgotten', 'mover'] } });
  expect(await tables()).toBe(6);
});

describe.each(Object.entries(CATALOG_QUERIES))('%s', (_what, query) => {
  it('are on the target as on the source', async () => {
    const expected = (await source.query(query)).rows;
    expect(expected.length).toBeGreaterThan(0);
    expect((await target.query(query)).rows).toEqual(expected);
  });
});

it('leaves keys, indexes, foreign keys and triggers for later', async () => {
  const { rows } = await target.query(
    `SELECT contype FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace
     WHERE n.nspname IN ('my App', 'sales') AND contype IN ('p', 'u', 'x', 'f')`,
  );
  expect(rows).toEqual([]);
});

it('makes logins with their secret password and their attributes', async () => {
  const { host, port, config: settings } = { ...migration.target, config: migration.config };
  const client = new Client({
    host,
    port,
    user: 'application',
    password: PASSWORD,
    database: settings.target.database,
  });
  await client.connect();
  const { rows } = await client.query(
    `SELECT rolconnlimit, pg_has_role('app_rw', 'MEMBER') AS member, current_setting('search_path') AS path FROM pg_roles WHERE rolname = current_user`,
  );
  await client.end();
  expect(rows).toEqual([{ rolconnlimit: 40, member: true, path: '"my App", public' }]);
});

it('closes the target to writes and knows a lease for each table', async () => {
  await expect(target.query(`INSERT INTO sales.booking VALUES ('x', '[1,2)')`)).rejects.toThrow('takes no writes');
  const { rows } = await target.query('SELECT count(*)::int AS n, count(copied_at)::int AS copied FROM ibex.relation');
  expect(rows).toEqual([{ n: 6, copied: 0 }]);
});

it('gives no role a right for longer than it needed it', async () => {
  const { rows } = await target.query(`SELECT has_schema_privilege('Odd Role', 'sales', 'CREATE') AS can`);
  expect(rows).toEqual([{ can: false }]);
});

it('lets the owner of the source database do what it could, though another owns the target', async () => {
  const { rows } = await target.query(
    `SELECT has_database_privilege('app_owner', current_database(), 'CREATE') AS database,
       has_schema_privilege('app_owner', 'public', 'CREATE') AS public`,
  );
  expect(rows).toEqual([{ database: true, public: true }]);
});

it('changes nothing when it is run once more, and says so of roles', async () => {
  const { result } = await run();
  expect(result).toMatchObject({ roles: { created: [] }, warnings: [] });
});

it('names a column that the target has otherwise', async () => {
  await target.query('ALTER TABLE sales.booking ALTER name TYPE varchar(9)');
  await expect(run()).rejects.toThrow(
    'column "name" of "sales"."booking" is text on the source and character varying(9) on the target',
  );
  await target.query('ALTER TABLE sales.booking ALTER name TYPE text');
});

it('never writes a password where others may read it', async () => {
  const { stateDirectory, runDirectory } = migration.config.host;
  writeFileSync(`${runDirectory}/probe`, PASSWORD);
  const found = execFileSync('grep', ['-rlF', PASSWORD, stateDirectory, runDirectory], { encoding: 'utf8' });
  expect(found.trim()).toBe(`${runDirectory}/probe`);
});
