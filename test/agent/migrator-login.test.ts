import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { takeAssessment } from '../../assets/agent/assess';
import type { AgentConfig } from '../../assets/agent/config';
import { ensureMigratorLogin, retireMigratorLogin } from '../../assets/agent/migrator-login';
import { copySchema } from '../../assets/agent/schema';
import { PASSWORD, startMigration, type TestMigration } from '../helpers/migration';

let migration: TestMigration;
let admin: Client;
beforeAll(async () => {
  migration = await startMigration();
  admin = await migration.admin('target');
});
afterAll(async () => {
  await admin.end();
  await migration.stop();
});

/** Logins are the server's, not the database's: each test has its own. */
let login = '';
let number = 0;
beforeEach(async () => {
  await migration.fresh();
  number += 1;
  login = `ibex_migrator_${number}`;
  secret('migrator', login, PASSWORD);
  secret('master', 'master', PASSWORD);
});

function secret(name: string, username: string, password: string): void {
  const file = join(migration.secrets, name);
  writeFileSync(file, JSON.stringify({ username, password }), { mode: 0o600 });
  chmodSync(file, 0o600);
}

const withMaster = (): Partial<AgentConfig> => ({
  target: { ...migration.config.target, secret: 'migrator', masterSecret: 'master' },
});

const roleOf = async (name: string): Promise<Record<string, unknown> | undefined> => {
  const { rows } = await admin.query(
    `SELECT rolcanlogin AS login, rolcreaterole AS "createRole", rolsuper AS super,
       pg_has_role(rolname, 'rds_superuser', 'MEMBER') AS elevated FROM pg_roles WHERE rolname = $1`,
    [name],
  );
  return rows[0] as Record<string, unknown> | undefined;
};
const ownerOf = async (database: string): Promise<string> => {
  const { rows } = await admin.query('SELECT datdba::regrole::text AS owner FROM pg_database WHERE datname = $1', [
    database,
  ]);
  return (rows[0] as { owner: string }).owner;
};

it('is made by the master: no superuser, but what the migration needs', async () => {
  const context = await migration.context('assess', withMaster());
  await ensureMigratorLogin(context);
  expect(await roleOf(login)).toEqual({ login: true, createRole: true, super: false, elevated: true });
  expect(await ownerOf(migration.config.target.database ?? '')).toBe(login);
  const target = await context.connect('target');
  expect((await target.query('SELECT current_user AS me')).rows).toEqual([{ me: login }]);
  await target.query(`SET session_replication_role = 'replica'`);
});

it('is all that assess and schema need', async () => {
  const source = await migration.admin('source');
  await source.query('CREATE TABLE public.t (id int PRIMARY KEY)');
  await source.end();
  const assessed = await migration.context('assess', withMaster());
  expect((await takeAssessment(assessed)).refusals).toEqual([]);
  const context = await migration.context('schema', withMaster());
  expect((await copySchema(context)).message).toContain('1 tables defined');
});

it('is left alone while it works, even when the master has another password by now', async () => {
  await ensureMigratorLogin(await migration.context('assess', withMaster()));
  secret('master', 'master', 'rotated');
  await ensureMigratorLogin(await migration.context('schema', withMaster()));
});

it('gets the password of its secret again when that was changed', async () => {
  await ensureMigratorLogin(await migration.context('assess', withMaster()));
  secret('migrator', login, 'another one');
  const context = await migration.context('schema', withMaster());
  await ensureMigratorLogin(context);
  await expect(context.connect('target')).resolves.toBeDefined();
});

it('is not made without a master: the login itself says what is wrong', async () => {
  const context = await migration.context('schema', {
    target: { ...migration.config.target, secret: 'master' },
  });
  await ensureMigratorLogin(context);
  await expect(context.connect('target')).resolves.toBeDefined();
});

it('names both secrets when they hold the same login', async () => {
  secret('migrator', 'master', 'wrong');
  const context = await migration.context('schema', withMaster());
  await expect(ensureMigratorLogin(context)).rejects.toThrow(
    'target: secrets migrator and master name the same login "master"',
  );
});

it('is retired at the end: nobody logs in with it, and the master has the database and its roles', async () => {
  const context = await migration.context('cleanup', withMaster());
  await ensureMigratorLogin(context);
  const target = await context.connect('target');
  await target.query('CREATE ROLE made_by_us NOLOGIN');
  expect(await retireMigratorLogin(context)).toEqual({ login, mayLogIn: false, elevated: false, ownsDatabase: false });
  expect(await roleOf(login)).toMatchObject({ login: false, elevated: false });
  expect(await ownerOf(migration.config.target.database ?? '')).toBe('master');
  const master = await migration.context('x', { target: { ...migration.config.target, secret: 'master' } });
  const session = await master.connect('target');
  await session.query(`SET ROLE ${login}`);
  await session.query('ALTER ROLE made_by_us LOGIN');
  await session.query('DROP ROLE made_by_us');
});
