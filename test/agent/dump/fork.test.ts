import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { dumpRows } from '../../../assets/agent/dump';
import { Lease, prepareLeases } from '../../../assets/agent/lease';
import { restoreRows } from '../../../assets/agent/restore';
import { copySchema } from '../../../assets/agent/schema';
import { PASSWORD, startMigration, type TestMigration } from '../../helpers/migration';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { runCapture } from '../capture/recorded';

const WAY_ON = 'take the fork after capture succeeded, fill its secret, start dump again';

let migration: TestMigration;
let forks: TestPostgres;
let source: Client;
beforeAll(async () => {
  [migration, forks] = await Promise.all([startMigration(), startPostgres({ version: 11, password: PASSWORD })]);
  source = await migration.admin('source');
  const setUp = await forks.connect();
  await setUp.query(`CREATE ROLE mover SUPERUSER LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  await source.query(`
    CREATE TABLE item (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY);
    INSERT INTO item VALUES (1, 'kept'), (2, 'old'), (3, 'gone')`);
  const context = await migration.context('schema');
  await copySchema(context);
  await context.close();
});
afterAll(async () => {
  await migration?.stop();
  await forks?.stop();
});

/** Takes a fork by dump and restore, and fills its secret. */
async function takeFork(name: string): Promise<void> {
  const client = await forks.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  const env = { ...process.env, PGPASSWORD: PASSWORD, PGUSER: 'postgres', PGHOST: '127.0.0.1' };
  const { port, database = '' } = migration.config.source;
  const dump = execFileSync('pg_dump', ['-p', String(port), '-d', database], { env });
  execFileSync('psql', ['-q', '-p', String(forks.port), '-d', name], {
    env,
    input: dump,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  writeFileSync(join(migration.secrets, name), JSON.stringify({ username: 'mover', password: PASSWORD }), {
    mode: 0o600,
  });
}

async function dumpOf(name: string): Promise<string> {
  const { host, port } = forks;
  const context = await migration.context('dump', {
    dumpSource: { secret: name, host, port, database: name, sslmode: 'disable' },
  });
  try {
    return (await dumpRows(context)).message;
  } finally {
    await context.close();
  }
}

test('a fork as dump source: refused where it cannot serve, and completed by catch-up where it can', async () => {
  await takeFork('early');
  await runCapture(migration);

  await expect(dumpOf('early')).rejects.toThrow('"public"."item" has no trigger "bucardo_delta"');
  await expect(dumpOf('early')).rejects.toThrow(WAY_ON);

  writeFileSync(join(migration.secrets, 'empty'), 'random', { mode: 0o600 });
  await expect(dumpOf('empty')).rejects.toThrow(/secret empty is not filled.*take the fork after capture succeeded/);

  await takeFork('partial');
  const partial = await forks.connect('partial');
  await partial.query('DROP TABLE other');
  await expect(dumpOf('partial')).rejects.toThrow('"public"."other" is missing on the dump source');

  await takeFork('later');
  await source.query(
    `UPDATE item SET v = 'new' WHERE id = 2; DELETE FROM item WHERE id = 3; INSERT INTO other VALUES (9)`,
  );
  expect(await dumpOf('later')).toMatch(/^2 tables dumped/);

  const context = await migration.context('restore');
  await restoreRows(context);
  const target = await migration.admin('target');
  const items = async (): Promise<unknown[]> => (await target.query('SELECT * FROM item ORDER BY id')).rows;
  // The fork's rows, not the source's: what was dumped is the fork.
  expect(await items()).toEqual([
    { id: 1, v: 'kept' },
    { id: 2, v: 'old' },
    { id: 3, v: 'gone' },
  ]);
  const relations = await readRelations(await context.connect('source'), context.config);
  const master = await context.connect('target');
  await prepareLeases(master, relations);
  const catchUp = new CatchUp(context, relations, await Lease.take(master, 'catch-up'));
  await catchUp.until(await context.connect('source'), 1);
  await catchUp.close();
  expect(await items()).toEqual([
    { id: 1, v: 'kept' },
    { id: 2, v: 'new' },
  ]);
  expect((await target.query('SELECT id FROM other')).rows).toEqual([{ id: 9 }]);
}, 60_000);
