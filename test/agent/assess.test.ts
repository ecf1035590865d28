import type { Client } from 'pg';
import { refusalLine, takeAssessment, type Assessment } from '../../assets/agent/assess';
import type { AgentConfig } from '../../assets/agent/config';
import { writeFileSync } from 'node:fs';
import { PASSWORD, startMigration, type TestMigration } from '../helpers/migration';

let migration: TestMigration;
let source: Client;
let target: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  target = await migration.admin('target');
});
afterAll(() => migration.stop());

const take = async (overrides: Partial<AgentConfig> = {}): Promise<Assessment> => {
  const context = await migration.context('assess', overrides);
  try {
    return await takeAssessment(context);
  } finally {
    await context.close();
  }
};

it('refuses a source that the settings declare too old, before anything is asked of it', async () => {
  await expect(take({ source: { ...migration.config.source, version: 9.3, port: 1 } })).rejects.toThrow(
    'source is PostgreSQL 9.3 by the settings (source.assessOnly); 10 to 17 can be migrated: upgrade it first',
  );
});

it('finds nothing in the way of an ordinary table, and counts it', async () => {
  await source.query('CREATE TABLE plain (id int PRIMARY KEY); INSERT INTO plain SELECT generate_series(1, 50)');
  const found = await take();
  await source.query('DROP TABLE plain');
  expect(found.refusals).toEqual([]);
  expect(found).toMatchObject({ tables: 1, sourceVersion: 110022 });
  expect(found.bytes).toBeGreaterThan(0);
});

describe.each<[string, string, string, string | RegExp]>([
  [
    'a table without a key',
    'CREATE TABLE "No Key" (a int)',
    'DROP TABLE "No Key"',
    'ALTER TABLE "public"."No Key" ADD PRIMARY KEY',
  ],
  ['a key that may be NULL', 'CREATE TABLE nul (a int UNIQUE)', 'DROP TABLE nul', /"public"."nul".*may be NULL/],
  [
    'inheritance',
    'CREATE TABLE up (id int PRIMARY KEY); CREATE TABLE down (PRIMARY KEY (id)) INHERITS (up)',
    'DROP TABLE down, up',
    /"public"."(up|down)" takes part in inheritance/,
  ],
  [
    'a foreign table',
    'CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; CREATE FOREIGN TABLE far_away (a int) SERVER far',
    'DROP EXTENSION postgres_fdw CASCADE',
    'foreign table public.far_away',
  ],
  ['large objects', 'SELECT lo_create(4711)', 'SELECT lo_unlink(4711)', 'source holds 1 large objects'],
  [
    'tables that Bucardo would call the same',
    'CREATE SCHEMA app; CREATE SCHEMA app_foo; CREATE TABLE app.foo_bar (id int PRIMARY KEY); CREATE TABLE app_foo.bar (id int PRIMARY KEY)',
    'DROP SCHEMA app, app_foo CASCADE',
    /would both be captured as bucardo.delta_app_foo_bar/,
  ],
  [
    'a double quote in a name',
    'CREATE TABLE "a""b" (id int PRIMARY KEY)',
    'DROP TABLE "a""b"',
    /has a double quote in its name/,
  ],
  [
    'a name of many bytes',
    `CREATE TABLE "${'ä'.repeat(31)}" (id int PRIMARY KEY)`,
    `DROP TABLE "${'ä'.repeat(31)}"`,
    /would be captured as "delta_public_ä+", 75 bytes long/,
  ],
  [
    'a key column that capture needs',
    'CREATE TABLE stamp (txntime timestamptz PRIMARY KEY)',
    'DROP TABLE stamp',
    /key column "txntime"/,
  ],
  [
    "somebody else's schema bucardo",
    'CREATE SCHEMA bucardo',
    'DROP SCHEMA bucardo',
    'schema "bucardo" is on the source already',
  ],
  [
    'a publication of everything',
    'CREATE PUBLICATION everything FOR ALL TABLES',
    'DROP PUBLICATION everything',
    'publication "everything" is FOR ALL TABLES',
  ],
  [
    'a subscription',
    `CREATE SUBSCRIPTION feed CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
    'DROP SUBSCRIPTION feed',
    'subscription "feed"',
  ],
  [
    'a trigger that fires for replicas',
    `CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tt BEFORE INSERT ON t FOR EACH ROW EXECUTE PROCEDURE tf(); ALTER TABLE t ENABLE ALWAYS TRIGGER tt`,
    'DROP TABLE t; DROP FUNCTION tf',
    'trigger "tt" of public.t is ENABLE ALWAYS',
  ],
  [
    'a role that writes as a replica',
    'CREATE ROLE sneaky; ALTER ROLE sneaky SET session_replication_role = replica',
    'DROP ROLE sneaky',
    'sneaky has session_replication_role=replica',
  ],
  [
    'a function that writes as a replica',
    `CREATE FUNCTION past() RETURNS void LANGUAGE sql SET session_replication_role = replica AS ''`,
    'DROP FUNCTION past',
    'function public.past() has session_replication_role=replica',
  ],
  [
    'a table that is spread by the hash of an enum',
    `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE felt (m mood, id int, PRIMARY KEY (m, id)) PARTITION BY HASH (id, m); CREATE TABLE felt_0 PARTITION OF felt FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
    'DROP TABLE felt; DROP TYPE mood',
    'rows of public.felt are spread over its partitions by the hash of an enum',
  ],
  [
    'a type that is gone',
    'CREATE TABLE old (id int PRIMARY KEY, at abstime)',
    'DROP TABLE old',
    'column public.old.at has type abstime',
  ],
  [
    "a superuser's object",
    `CREATE FUNCTION sine(float8) RETURNS float8 LANGUAGE internal AS 'dsin'`,
    'DROP FUNCTION sine',
    'function in language internal',
  ],
  [
    'row security forced on owners',
    'CREATE TABLE secret (id int PRIMARY KEY); ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
    'DROP TABLE secret',
    'row security of public.secret is forced',
  ],
])('a source with %s', (_what, make, drop, refusal) => {
  it('is refused by name', async () => {
    await source.query(make);
    try {
      const { refusals } = await take();
      const expected = expect.stringMatching(typeof refusal === 'string' ? escape(refusal) : refusal);
      expect(refusals.length).toBeGreaterThan(0);
      expect(refusals).toEqual(refusals.map(() => expected));
    } finally {
      for (const statement of drop.split(';')) await source.query(statement);
    }
  });
});

describe.each<[string, string, string, string]>([
  [
    'an unlogged table',
    'CREATE UNLOGGED TABLE u (id int PRIMARY KEY)',
    'DROP TABLE u',
    'table "public"."u" is unlogged',
  ],
  [
    'a cube, whose text is of another form from 12 on',
    'CREATE EXTENSION cube; CREATE TABLE boxes (id int PRIMARY KEY, bounds cube)',
    'DROP TABLE boxes; DROP EXTENSION cube',
    'column "bounds" of "public"."boxes" is a cube',
  ],
  [
    'a check by a function without a search path',
    `CREATE FUNCTION known(int) RETURNS boolean LANGUAGE sql AS 'SELECT true'; CREATE TABLE checked (id int PRIMARY KEY CHECK (known(id)))`,
    'DROP TABLE checked; DROP FUNCTION known',
    'function public.known(integer), which table public.checked has called for each row, has no search_path of its own',
  ],
  [
    'a domain that rows may violate',
    'CREATE DOMAIN code AS text; ALTER DOMAIN code ADD CONSTRAINT short CHECK (length(VALUE) < 5) NOT VALID',
    'DROP DOMAIN code',
    'constraint short of domain public.code is NOT VALID',
  ],
  ['a publication', 'CREATE PUBLICATION partly', 'DROP PUBLICATION partly', 'publication "partly" is not migrated'],
  [
    'an event trigger',
    `CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE PROCEDURE ef()`,
    'DROP EVENT TRIGGER et; DROP FUNCTION ef',
    'event trigger "et"',
  ],
  [
    'a prepared transaction',
    `BEGIN; CREATE TABLE half (id int PRIMARY KEY); PREPARE TRANSACTION 'half'`,
    `ROLLBACK PREPARED 'half'`,
    'prepared transaction "half"',
  ],
])('a source with %s', (_what, make, drop, warning) => {
  it('is warned of, not refused', async () => {
    await source.query(make);
    try {
      const found = await take();
      expect(found.refusals).toEqual([]);
      expect(found.warnings).toContainEqual(expect.stringContaining(warning));
    } finally {
      for (const statement of drop.split(';')) await source.query(statement);
    }
  });
});

it('refuses a source login without rights, table by table', async () => {
  await source.query(
    `CREATE TABLE closed (id int PRIMARY KEY); CREATE ROLE poor LOGIN; GRANT SELECT ON closed TO poor;
     CREATE SCHEMA apart; CREATE TABLE apart.fenced (id int PRIMARY KEY);
    CREATE EXTENSION citext; CREATE SEQUENCE of_extension; ALTER EXTENSION citext ADD SEQUENCE of_extension`,
  );
  await source.query(`ALTER ROLE poor PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  const secret = JSON.stringify({ username: 'poor', password: PASSWORD });
  writeFileSync(`${migration.secrets}/poor`, secret, { mode: 0o600 });
  try {
    const { refusals, warnings } = await take({
      source: { ...migration.config.source, secret: 'poor' },
      excludeSchemas: ['apart'],
    });
    expect(refusals).toEqual([
      expect.stringContaining('lacks TRIGGER, one of UPDATE, DELETE and TRUNCATE (to lock it) on public.closed'),
      expect.stringContaining(
        'lacks USAGE on its schema, TRIGGER, one of UPDATE, DELETE and TRUNCATE (to lock it) on apart.fenced, which is in excludeSchemas',
      ),
      expect.stringContaining('may not create schemas'),
    ]);
    expect(warnings).toContainEqual(expect.stringContaining('may not set session_replication_role'));
    expect(warnings).toContainEqual(
      expect.stringMatching(
        /^source login "poor" may not see what other sessions do: the brake is blind .*; GRANT pg_read_all_stats TO "poor"$/,
      ),
    );
    expect((await take()).warnings).not.toContainEqual(expect.stringContaining('pg_read_all_stats'));
  } finally {
    await source.query('DROP TABLE closed; DROP ROLE poor; DROP SCHEMA apart CASCADE; DROP EXTENSION citext');
  }
});

it('refuses a key that capture could not compare as the source login, with the statements that let it', async () => {
  await source.query(`CREATE SCHEMA kinds; CREATE EXTENSION citext SCHEMA kinds; CREATE ROLE narrow LOGIN;
    CREATE TABLE coded (code kinds.citext PRIMARY KEY); GRANT ALL ON coded TO narrow;
    REVOKE EXECUTE ON FUNCTION kinds.citext_eq(kinds.citext, kinds.citext) FROM PUBLIC;
    GRANT CREATE ON DATABASE ${migration.config.source.database} TO narrow`);
  await source.query(`ALTER ROLE narrow PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  writeFileSync(`${migration.secrets}/narrow`, JSON.stringify({ username: 'narrow', password: PASSWORD }), {
    mode: 0o600,
  });
  const narrow = { source: { ...migration.config.source, secret: 'narrow' } };
  const grants =
    'GRANT USAGE ON SCHEMA kinds TO narrow; GRANT EXECUTE ON FUNCTION kinds.citext_eq(kinds.citext,kinds.citext) TO narrow';
  try {
    expect((await take(narrow)).refusals).toEqual([
      expect.stringContaining(
        `table "public"."coded" has no usable key: key column "code" is compared by what our login may not use: ${grants}; or `,
      ),
    ]);
    await source.query(grants);
    expect((await take(narrow)).refusals).toEqual([]);
  } finally {
    await source.query(
      'DROP TABLE coded; DROP EXTENSION citext; DROP SCHEMA kinds; DROP OWNED BY narrow; DROP ROLE narrow',
    );
  }
});

it('warns of each right that only the way back needs, with what gives it, unless none is wanted', async () => {
  await source.query(`CREATE TABLE lockable (id serial PRIMARY KEY); CREATE ROLE narrow LOGIN;
    GRANT SELECT, TRIGGER, TRUNCATE ON lockable TO narrow; GRANT SELECT ON SEQUENCE lockable_id_seq TO narrow;
    GRANT CREATE ON DATABASE ${migration.config.source.database} TO narrow`);
  await source.query(`ALTER ROLE narrow PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  writeFileSync(`${migration.secrets}/narrow`, JSON.stringify({ username: 'narrow', password: PASSWORD }), {
    mode: 0o600,
  });
  const narrow = { source: { ...migration.config.source, secret: 'narrow' } };
  try {
    const { refusals, warnings } = await take(narrow);
    expect(refusals).toEqual([]);
    const rights = warnings.filter((warning) => warning.includes('lacks'));
    expect(rights).toEqual([
      expect.stringContaining(
        `source login "narrow" lacks INSERT on "public"."lockable": GRANT INSERT ON TABLE "public"."lockable" TO "narrow"; source login "narrow" lacks DELETE on "public"."lockable": GRANT DELETE ON TABLE "public"."lockable" TO "narrow"; source login "narrow" lacks UPDATE on "public"."lockable_id_seq": GRANT UPDATE ON SEQUENCE "public"."lockable_id_seq" TO "narrow";`,
      ),
    ]);
    const without = await take({ ...narrow, cutover: { ...migration.config.cutover, wayBack: 'none' } });
    expect(without.warnings.filter((warning) => warning.includes('lacks'))).toEqual([]);
  } finally {
    await source.query('DROP TABLE lockable; DROP OWNED BY narrow; DROP ROLE narrow');
  }
});

it('refuses a target that holds something, and one whose login may not act as a replica', async () => {
  await target.query('CREATE TABLE remains (a int); REVOKE rds_superuser FROM master');
  try {
    const { refusals } = await take();
    expect(refusals).toEqual([
      expect.stringContaining('target login may not set session_replication_role'),
      expect.stringContaining('target is not empty: table public.remains'),
    ]);
  } finally {
    await target.query('DROP TABLE remains; GRANT rds_superuser TO master');
  }
});

describe('a table under the row security of an owner that the target', () => {
  beforeEach(() =>
    source.query(`CREATE ROLE master; CREATE ROLE keeper; CREATE TABLE ours (id int PRIMARY KEY);
      CREATE TABLE guarded (id int PRIMARY KEY); ALTER TABLE guarded OWNER TO keeper;
      ALTER TABLE guarded ENABLE ROW LEVEL SECURITY`),
  );
  afterEach(async () => {
    await source.query('DROP TABLE ours, guarded; DROP ROLE master, keeper');
    await target.query('ALTER ROLE master NOBYPASSRLS; DROP ROLE IF EXISTS keeper');
  });

  it('does not know yet is not refused: whoever makes that role may have Bucardo be a member of it', async () => {
    expect((await take()).refusals).toEqual([]);
  });

  it('has from somebody else is refused until its login administers it', async () => {
    await target.query('CREATE ROLE keeper; GRANT keeper TO master');
    expect((await take()).refusals).toEqual([
      'row security of public.guarded would refuse Bucardo on the target, where its owner "keeper" is not administered by "master"; GRANT "keeper" TO "master" WITH ADMIN OPTION there, or give "master" BYPASSRLS',
    ]);
    await target.query('GRANT keeper TO master WITH ADMIN OPTION');
    expect((await take()).refusals).toEqual([]);
  });

  it('is logged in to by is refused, unless that bypasses row security: Bucardo cannot be a member of it', async () => {
    await source.query('ALTER TABLE guarded OWNER TO master');
    expect((await take()).refusals).toEqual([
      'row security of public.guarded would refuse Bucardo on the target, where its owner "master" is the target login "master", or has its rights; let another login be the target\'s, or give it another owner (ALTER TABLE public.guarded OWNER TO …), or give "master" BYPASSRLS',
    ]);
    await target.query('ALTER ROLE master BYPASSRLS');
    expect((await take()).refusals).toEqual([]);
  });
});

it('refuses an application login that the source does not have, and one whose secret cannot be read', async () => {
  const { refusals } = await take({ applicationLogins: { stranger: 'login', postgres: 'nowhere' } });
  expect(refusals).toEqual([
    expect.stringContaining('"stranger", which is no login of the source'),
    expect.stringContaining('secret nowhere cannot be read'),
  ]);
});

it('refuses programs that are missing', async () => {
  const host = { ...migration.config.host, clientTools: '/nowhere', bucardo: '/nowhere/bucardo' };
  const { refusals } = await take({ host });
  expect(refusals).toEqual([
    expect.stringContaining('/nowhere/pg_dump is not there'),
    expect.stringContaining('/nowhere/pg_restore is not there'),
    expect.stringContaining('Bucardo cannot be run as /nowhere/bucardo'),
  ]);
});

it('refuses a compression that the programs do not know, when there is to be a dump', async () => {
  const dump = { jobs: 1, compression: 'zstd:3' } as const;
  const { copy } = migration.config;
  expect((await take({ dump, copy: { ...copy, method: 'stream' } })).refusals).toEqual([]);
  expect((await take({ dump, copy: { ...copy, method: 'dump' } })).refusals).toEqual([
    expect.stringMatching(
      /^agent\.dump\.compression "zstd:3" cannot be had: pg_dump .* knows only gzip; install client/,
    ),
  ]);
});

it('names both ends when neither can be reached', async () => {
  const nobody = { host: '127.0.0.1', port: 1 };
  const { source: from, target: to } = migration.config;
  await expect(take({ source: { ...from, ...nobody }, target: { ...to, ...nobody } })).rejects.toThrow(
    /cannot connect to source 127.0.0.1:1.*; cannot connect to target 127.0.0.1:1/,
  );
});

it('names an end that is a standby among all else that it refuses', async () => {
  await source.query('CREATE TABLE keyless (a int)');
  await migration.target.demote();
  const { refusals } = await take();
  target = await migration.admin('target');
  await target.query('SELECT pg_promote()');
  await source.query('DROP TABLE keyless');
  expect(refusals).toEqual([
    'target is a standby or reader; name its writer endpoint',
    expect.stringContaining('"keyless"'),
  ]);
});

it('leaves evidence of every question, and the source as it was', async () => {
  const before = await source.query('SELECT count(*) FROM pg_class');
  await take();
  const context = await migration.context('assess');
  const gates = (await context.state.allEvidence()).map((row) => row['gate']);
  expect(gates).toEqual(
    expect.arrayContaining(['versions', 'lock tables', 'keys', 'replica role', 'target is empty', 'subscriptions']),
  );
  expect((await source.query('SELECT count(*) FROM pg_class')).rows).toEqual(before.rows);
});

it('keeps its failure within one line that Systems Manager shows whole', () => {
  const line = refusalLine(
    Array.from({ length: 400 }, (_, i) => `table "t${i}" has no primary key`),
    'see the file',
  );
  expect(line.length).toBeLessThan(2500);
  expect(line).toMatch(/^400 refusals: \(1\) table "t0".*; and \d+ more \(see the file\)$/);
});

const escape = (text: string): RegExp => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
