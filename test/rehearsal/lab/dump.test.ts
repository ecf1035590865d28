import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { type Lab, openLab } from '../../../lib/rehearsal/lab';
import { loadDump } from '../../../lib/rehearsal/lab/dump';
import { DEBIAN_POSTGRES } from '../../../lib/rehearsal/lab/packages';
import { makeSourceDatabase, SOURCE_SUPERUSER } from '../../../lib/rehearsal/lab/source';

const open = (dump?: string): Promise<Lab> =>
  openLab({
    sourceVersion: 11,
    targetVersion: 17,
    scale: 1,
    dump,
    log: () => {},
    program: (file) => writeFileSync(file, ''),
  });

/** Counts and hashes of every table, in one line each. */
async function contents(client: Client): Promise<string[]> {
  await client.query(`SET extra_float_digits = 3; SET timezone = 'UTC'`);
  const tables = await client.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname IN ('shop', 'billing', 'Mixed Case') ORDER BY 1`,
  );
  const lines: string[] = [];
  for (const { name } of tables.rows) {
    const { rows } = await client.query<{ line: string }>(
      `SELECT count(*) || ' ' || coalesce(sum(('x' || md5(t::text))::bit(32)::bigint), 0) AS line FROM ${name} AS t`,
    );
    lines.push(`${name} ${rows[0]?.line}`);
  }
  return lines;
}

describe('a dump of the user', () => {
  let directory: string;
  let lab: Lab;
  let expected: string[];
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-test-'));
    lab = await open();
    expected = await using('migration', contents);
    const connection = ['-h', lab.source.host, '-p', String(lab.source.port), '-U', 'shop_owner', '-d', 'shop'];
    for (const format of ['plain', 'custom', 'tar', 'directory']) {
      const args = [
        `--format=${format}`,
        '--exclude-table=public.pgbench*',
        '--file',
        join(directory, format),
        ...connection,
      ];
      execFileSync(join(DEBIAN_POSTGRES, 'pg_dump'), args, { env: { PGPASSFILE: lab.passwordFile } });
    }
  });
  afterAll(async () => {
    await lab.close();
    rmSync(directory, { recursive: true });
  });

  async function using<T>(as: 'application' | 'migration', work: (client: Client) => Promise<T>): Promise<T> {
    const client = await lab.connect('source', as);
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** Loads into a new database, as a new lab does. */
  async function load(path: string): Promise<void> {
    const admin = await lab.source.admin();
    await admin.query('DROP DATABASE IF EXISTS shop');
    await admin.query('DROP ROLE IF EXISTS ibex_loader');
    await admin.end();
    await makeSourceDatabase(lab.source);
    const logins = { owner: 'shop_owner', application: 'shop_app', superuser: SOURCE_SUPERUSER };
    await loadDump({ path, source: lab.source, ...logins, passwordFile: lab.passwordFile, log: () => {} });
  }

  it.each(['plain', 'custom', 'tar', 'directory'])(
    'is loaded whole from the %s format, and belongs to one owner',
    async (format) => {
      await load(join(directory, format));
      await using('migration', async (owner) => {
        expect(await contents(owner)).toEqual(expected);
        const foreign = await owner.query(
          `SELECT oid::regclass, relowner::regrole FROM pg_class
           WHERE relkind <> 'i' AND relowner <> current_user::regrole AND oid >= 16384
             AND relnamespace NOT IN ('pg_toast'::regnamespace, 'pg_catalog'::regnamespace)`,
        );
        expect(foreign.rows).toEqual([]);
      });
      await using('application', (client) =>
        client.query(`UPDATE shop.text_sample SET sample = 'written' WHERE id = 1`),
      );
    },
  );

  it('takes over roles, owners and grants of elsewhere, in place of the example', async () => {
    const file = join(directory, 'elsewhere.sql');
    writeFileSync(
      file,
      `SET transaction_timeout = 0;
CREATE SCHEMA public;
CREATE TABLE public.t (id integer PRIMARY KEY, parent integer);
ALTER TABLE public.t OWNER TO postgres;
CREATE TABLE public."Other" (id integer PRIMARY KEY);
ALTER TABLE public."Other" OWNER TO "Somebody Else";
CREATE VIEW public.v AS SELECT * FROM public.t;
COPY public.t (id, parent) FROM stdin;
1\t\\N
\\.
GRANT SELECT ON TABLE public.t TO reader;
`,
    );
    const other = await open(file);
    try {
      const owner = await other.connect('source');
      const { rows } = await owner.query(
        `SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname IN ('t', 'Other', 'v', 'customer') ORDER BY 1`,
      );
      expect(rows).toEqual(['Other', 't', 'v'].map((relname) => ({ relname, owner: 'shop_owner' })));
      const roles = await owner.query(
        `SELECT rolname FROM pg_roles WHERE rolname IN ('postgres', 'reader', 'Somebody Else', 'ibex_loader') AND NOT rolcanlogin`,
      );
      expect(roles.rowCount).toBe(3);
      await owner.end();
    } finally {
      await other.close();
    }
  });

  it('is looked at before anything is started', async () => {
    await expect(open(join(directory, 'absent'))).rejects.toThrow(/absent does not exist/);
  });

  it.each([
    [
      'a statement that fails',
      'CREATE TABLE t (id integer);\n\nCREATE INDEX broken ON t (absent);\n',
      /bad\.sql, line 3: ERROR: +column "absent" does not exist; statement: CREATE INDEX broken ON t \(absent\);/,
    ],
    ['no table', 'CREATE SCHEMA nothing;\n', /bad\.sql holds no table/],
    [
      'an event trigger',
      `CREATE TABLE t (id integer);
CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE PROCEDURE f();
`,
      /bad\.sql holds event triggers \(watch\)/,
    ],
  ])('is refused in one line for %s', async (_what, sql, message) => {
    const file = join(directory, 'bad.sql');
    writeFileSync(file, sql);
    await expect(load(file)).rejects.toThrow(message);
  });

  it('names the cause and the statement where an archive does not fit the server', async () => {
    // What a new database is made from, so that the dump makes the schema a second time.
    const template = async (statement: string): Promise<void> => {
      const admin = await lab.source.admin('template1');
      await admin.query(statement);
      await admin.end();
    };
    await template('CREATE SCHEMA shop');
    try {
      await expect(load(join(directory, 'tar'))).rejects.toThrow(
        /tar: ERROR: +schema "shop" already exists; statement: CREATE SCHEMA shop;/,
      );
    } finally {
      await template('DROP SCHEMA shop');
    }
  });

  it('is refused in one line when an archive is cut off', async () => {
    const file = join(directory, 'cut');
    writeFileSync(file, Buffer.from('PGDMP\x01\x0e\x00\x04\x08', 'latin1'));
    await expect(load(file)).rejects.toThrow(/cut cannot be read: pg_restore failed .*; make it again with pg_dump$/);
  });
});
