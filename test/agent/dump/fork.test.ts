import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import { captureIdOf } from '../../../assets/agent/capture/identity';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { dumpRows } from '../../../assets/agent/dump';
import { Lease, prepareLeases } from '../../../assets/agent/lease';
import { restoreRows } from '../../../assets/agent/restore';
import { copySchema } from '../../../assets/agent/schema';
import { PASSWORD, startMigration, type TestMigration } from '../../helpers/migration';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { forgetCapture, runCapture } from '../capture/recorded';
import { until } from '../../helpers/until';

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

/** Dumps a database of the server of forks, or that of a server which has the source's files. */
async function dumpOf(name: string, copy?: TestPostgres): Promise<string> {
  const { host, port } = copy ?? forks;
  const context = await migration.context('dump', {
    dumpSource: {
      secret: copy ? 'source' : name,
      host,
      port,
      database: copy ? migration.config.source.database : name,
      sslmode: 'disable',
    },
  });
  try {
    return (await dumpRows(context)).message;
  } finally {
    await context.close();
  }
}

/** The rows of a table as the finished dump holds them, in order. */
function dumped(table: string): string[] {
  const directory = join(migration.config.host.stateDirectory, 'dump');
  const text = execFileSync('pg_restore', ['--data-only', `--table=${table}`, '--file=-', directory], {
    encoding: 'utf8',
  });
  const rows = text.split('\n');
  const from = rows.findIndex((line) => line.startsWith('COPY '));
  return rows.slice(from + 1, rows.indexOf('\\.')).toSorted();
}

/** What is on the target already, no further dump would hold. */
async function removeDump(): Promise<void> {
  rmSync(join(migration.config.host.stateDirectory, 'dump'), { recursive: true, force: true });
  const target = await migration.admin('target');
  await target.query(`
    DO $$ BEGIN
      IF to_regclass('ibex.relation') IS NOT NULL THEN UPDATE ibex.relation SET copied_at = NULL; END IF;
    END $$`);
  await target.end();
}

/** Takes a copy of the source's files, which ends with the work. */
async function withCopy(standby: boolean, work: (copy: TestPostgres) => Promise<void>): Promise<void> {
  const copy = await startPostgres({
    version: 11,
    password: PASSWORD,
    settings: { max_prepared_transactions: '5' },
    copyOf: { server: migration.source, standby },
  });
  try {
    await work(copy);
  } finally {
    await copy.stop();
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
});

test('a fork of the source’s files serves, with the rows of when it was taken', async () => {
  await runCapture(migration);
  await removeDump();
  await withCopy(false, async (copy) => {
    await source.query(`UPDATE item SET v = 'after the fork' WHERE id = 1`);
    expect(await dumpOf('files', copy)).toMatch(/^2 tables dumped/);
    expect(dumped('item')).toEqual(['1\tkept', '2\tnew']);
    await source.query(`UPDATE item SET v = 'kept' WHERE id = 1`);

    await removeDump();
    const fork = await copy.connect(migration.config.source.database);
    await fork.query('ALTER TABLE item DISABLE TRIGGER ALL; ALTER TABLE item ENABLE TRIGGER ALL');
    await expect(dumpOf('files', copy)).rejects.toThrow(
      '"public"."item" is captured by another trigger than on the source',
    );
  });
});

test('a standby serves, and takes no write of ours; an unlogged table of which it has no row refuses it', async () => {
  await runCapture(migration);
  await removeDump();
  await withCopy(true, async (standby) => {
    const replica = await standby.connect(migration.config.source.database);
    expect((await replica.query('SELECT pg_is_in_recovery() AS standby')).rows).toEqual([{ standby: true }]);
    expect(await dumpOf('standby', standby)).toMatch(/^2 tables dumped/);
    expect(dumped('item')).toEqual(['1\tkept', '2\tnew']);

    await removeDump();
    await source.query('CREATE UNLOGGED TABLE quick (id int PRIMARY KEY)');
    await runCapture(migration);
    await until(async () => (await captureIdOf(replica)) === (await captureIdOf(source)));
    await expect(dumpOf('standby', standby)).rejects.toThrow(
      '"public"."quick" is unlogged, and a fork or replica has no row of it',
    );
    await source.query('DROP TABLE quick');
  });
});

test('a fork of an earlier capture is refused, though its triggers are the same by name', async () => {
  await forgetCapture(migration, source);
  await runCapture(migration);
  await takeFork('first_capture');
  // A capture that finds all in place is the same one.
  await runCapture(migration);
  await removeDump();
  expect(await dumpOf('first_capture')).toMatch(/^2 tables dumped/);

  await removeDump();
  // What changed in between, no queue knows.
  await source.query('DROP TRIGGER bucardo_delta ON item');
  await source.query(`UPDATE item SET v = 'unknown' WHERE id = 1`);
  await runCapture(migration);
  await expect(dumpOf('first_capture')).rejects.toThrow(
    /^the dump source cannot serve: it holds capture [0-9a-f-]{36}, and the source's is [0-9a-f-]{36}; take the fork after/,
  );
});

test('a fork is refused that was taken while a trigger was made again', async () => {
  await source.query('DROP TRIGGER bucardo_delta ON item');
  await source.query('BEGIN; LOCK TABLE item IN ROW EXCLUSIVE MODE');
  await expect(runCapture(migration, { capture: { lockTimeoutMs: 100, attempts: 1 } })).rejects.toThrow('never free');
  await source.query('ROLLBACK');
  await takeFork('half');
  await runCapture(migration);
  await expect(dumpOf('half')).rejects.toThrow("it holds no complete capture, and the source's is");
});
