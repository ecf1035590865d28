import type { Client } from 'pg';
import type { CatalogObject } from '../../../assets/agent/verify/catalog-objects';
import { compareCatalogs, judge, type CatalogComparison } from '../../../assets/agent/verify/compare-catalogs';
import { config, startEnds, type Ends } from './ends';

let ends: Ends;
beforeAll(async () => {
  ends = await startEnds();
});
afterAll(() => ends.stop());

const SCHEMA = `
  CREATE SCHEMA app;
  SET search_path = app, pg_catalog;
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE DOMAIN short AS varchar(5) CHECK (VALUE <> '');
  ALTER DOMAIN short SET DEFAULT 'none';
  CREATE SEQUENCE numbers;
  CREATE TABLE customer (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, mood mood, age int CHECK (age > 0));
  CREATE TABLE "Order" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint REFERENCES customer, note short);
  CREATE TABLE rich (
    id int PRIMARY KEY, status varchar(9) NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'done')),
    at timestamptz DEFAULT now(), ratio numeric DEFAULT 0.5 * 2, name text COLLATE "C", a int, b int,
    CONSTRAINT pair UNIQUE (a, b), CONSTRAINT late FOREIGN KEY (b) REFERENCES rich ON DELETE CASCADE);
  CREATE UNIQUE INDEX rich_name ON rich (name) INCLUDE (at) WHERE status = 'new';
  CREATE INDEX rich_tall ON rich (a DESC NULLS LAST, ratio);
  CREATE PROCEDURE clear(a int, INOUT b int DEFAULT 1) LANGUAGE plpgsql SECURITY DEFINER SET search_path = app AS 'BEGIN b := a; END';
  CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
  CREATE INDEX order_note ON "Order" (lower(note)) WHERE note IS NOT NULL;
  CREATE TABLE event (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE event_all PARTITION OF event DEFAULT;
  CREATE INDEX event_at ON event (at);
  CREATE VIEW customers AS SELECT c.id, upper(c.email) AS email FROM customer c;
  CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM customer;
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
  CREATE TRIGGER touch BEFORE UPDATE ON customer FOR EACH ROW EXECUTE PROCEDURE touch();
  CREATE TRIGGER touch_event AFTER INSERT ON event FOR EACH ROW EXECUTE PROCEDURE touch();
  CREATE SCHEMA bucardo;
  CREATE FUNCTION bucardo.delta() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE ROLE reader;
  CREATE ROLE nobody_there;
  GRANT USAGE ON SCHEMA app TO reader;
  GRANT SELECT ON customers, "Order" TO reader;
  GRANT UPDATE (note) ON "Order" TO reader WITH GRANT OPTION;
  GRANT USAGE ON SEQUENCE numbers TO reader;
  REVOKE EXECUTE ON FUNCTION add(int, int) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION add(int, int) TO reader;
  ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader;
  ALTER ROLE reader SET search_path = app, public;
  ALTER TABLE customer ENABLE ROW LEVEL SECURITY;
  CREATE POLICY own ON customer USING (id > 0);
  CREATE RULE quiet AS ON DELETE TO customer WHERE OLD.age < 0 DO INSTEAD NOTHING;
  CREATE TRIGGER rising BEFORE UPDATE ON rich FOR EACH ROW WHEN (NEW.ratio > OLD.ratio) EXECUTE PROCEDURE touch();
  CREATE TABLE base (id int);
  CREATE TABLE kind () INHERITS (base);
  CREATE VIEW guarded WITH (security_barrier) AS SELECT id FROM base WITH LOCAL CHECK OPTION;
  CREATE STATISTICS together ON a, b FROM rich;
  SET search_path = pg_catalog`;

beforeAll(async () => {
  await ends.run('both', SCHEMA);
  await ends.run(
    'source',
    'CREATE TRIGGER bucardo_delta AFTER INSERT ON app.customer EXECUTE PROCEDURE bucardo.delta()',
  );
});

beforeAll(() => ends.run('source', 'GRANT SELECT ON app.customer TO nobody_there'));
beforeAll(() => ends.run('target', 'DROP ROLE nobody_there'));

const compare = (target: Client = ends.target): Promise<CatalogComparison> =>
  compareCatalogs(ends.source, target, config());

/** A session that takes a transaction within the one it is in for a savepoint. */
function within(client: Client): Client {
  const instead: Readonly<Record<string, string>> = {
    'BEGIN READ ONLY': 'SAVEPOINT within',
    'BEGIN READ WRITE': 'SAVEPOINT within',
    ROLLBACK: 'ROLLBACK TO SAVEPOINT within',
  };
  const query = (text: string, values?: unknown[]): unknown => client.query(instead[text] ?? text, values);
  return Object.create(client, { query: { value: query } }) as Client;
}

/** Changes the target within a transaction that is taken back. */
async function after(change: string): Promise<Pick<CatalogComparison, 'failures' | 'warnings'>> {
  await ends.target.query('BEGIN');
  try {
    await ends.target.query(change);
    const { failures, warnings } = await compare(within(ends.target));
    return { failures, warnings };
  } finally {
    await ends.target.query('ROLLBACK');
  }
}

/** With an object its privileges come and go; they have cases of their own. */
const speaksOf = (message: string, expected: string): boolean =>
  !message.startsWith('privilege') || expected.startsWith('privilege');

it('finds the catalogs of 11 and 17 equal that were made alike, apart from what is ours', async () => {
  const { failures, warnings, objects } = await compare();
  expect({ failures, warnings }).toEqual({
    failures: [],
    warnings: [
      'privilege SELECT on table app.customer for nobody_there is missing on the target, and so is the role',
      'privilege of public CREATE on schema public for PUBLIC is missing on the target',
    ],
  });
  expect(objects).toEqual({
    table: 7,
    'default of column': 4,
    'identity of column': 1,
    'collation of column': 1,
    view: 2,
    'materialized view': 1,
    sequence: 3,
    'range of sequence': 3,
    statistics: 1,
    index: 12,
    constraint: 12,
    trigger: 3,
    function: 3,
    aggregate: 1,
    type: 2,
    rule: 1,
    policy: 1,
    extension: 1,
    privilege: 13,
    'privilege of public': 2,
    'default privilege': 1,
    setting: 1,
  });
});

it.each([
  ['DROP INDEX app.order_note', 'index app.order_note is missing on the target'],
  ['DROP TRIGGER touch ON app.customer', 'trigger touch of app.customer is missing on the target'],
  ['DROP VIEW app.customers', 'view app.customers is missing on the target'],
  ['DROP MATERIALIZED VIEW app.totals', 'materialized view app.totals is missing on the target'],
  ['DROP SEQUENCE app.numbers', 'sequence app.numbers is missing on the target'],
  ['DROP FUNCTION app.add', 'function app.add(a integer, b integer) is missing on the target'],
  [
    'ALTER TABLE app."Order" DROP CONSTRAINT "Order_customer_fkey"',
    'constraint "Order_customer_fkey" of app."Order" is missing on the target',
  ],
  [
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.order_note'::regclass`,
    'index app.order_note is not valid on the target',
  ],
  [
    `ALTER TABLE app.customer DROP CONSTRAINT customer_age_check;
     ALTER TABLE app.customer ADD CONSTRAINT customer_age_check CHECK (age > 0) NOT VALID`,
    'constraint customer_age_check of app.customer is not valid on the target',
  ],
  [
    'ALTER TABLE app.customer DROP COLUMN mood',
    'table app.customer differs: age integer, email text NOT NULL, id bigint NOT NULL, mood app.mood on the source, age integer, email text NOT NULL, id bigint NOT NULL on the target',
  ],
  [
    `ALTER TYPE app.mood RENAME VALUE 'ok' TO 'fine'`,
    `type app.mood differs: 'sad', 'ok' on the source, 'sad', 'fine' on the target`,
  ],
  [
    'ALTER TABLE app.customer DISABLE TRIGGER touch',
    'trigger touch of app.customer is enabled on the source, disabled on the target',
  ],
  ['DROP RULE quiet ON app.customer', 'rule quiet of app.customer is missing on the target'],
  ['DROP POLICY own ON app.customer', 'policy own of app.customer is missing on the target'],
  [
    'ALTER TABLE app.customer DISABLE ROW LEVEL SECURITY',
    'table app.customer is row security on the source, without row security on the target',
  ],
  ['REVOKE USAGE ON SCHEMA app FROM reader', 'privilege USAGE on schema app for reader is missing on the target'],
  [
    'REVOKE SELECT ON app.customers FROM reader',
    'privilege SELECT on table app.customers for reader is missing on the target',
  ],
  [
    'REVOKE USAGE ON SEQUENCE app.numbers FROM reader',
    'privilege USAGE on sequence app.numbers for reader is missing on the target',
  ],
  [
    'REVOKE EXECUTE ON FUNCTION app.add FROM reader',
    'privilege EXECUTE on function app.add(a integer, b integer) for reader is missing on the target',
  ],
  [
    'REVOKE GRANT OPTION FOR UPDATE (note) ON app."Order" FROM reader',
    'privilege UPDATE on column app."Order".note for reader differs: WITH GRANT OPTION on the source,  on the target',
  ],
])('fails after %s', async (change, failure) => {
  const { failures } = await after(change);
  expect(failures.filter((one) => speaksOf(one, failure))).toEqual([failure]);
});

const column = 'column app.rich.';
const again = (index: string): string => `DROP INDEX app.rich_name; CREATE ${index}`;
const key = (definition: string): string =>
  `ALTER TABLE app.rich DROP CONSTRAINT late, ADD CONSTRAINT late FOREIGN KEY ${definition}`;
const add = (definition: string): string =>
  `CREATE OR REPLACE FUNCTION app.add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql ${definition}`;
const ADD = 'function app.add(a integer, b integer) differs';
const aggregate = (definition: string): string =>
  `DROP AGGREGATE app.product(numeric); CREATE AGGREGATE app.product(numeric) (${definition})`;

it.each([
  ['ALTER TABLE app.rich ALTER status DROP DEFAULT', `default of ${column}status is missing on the target`],
  ['ALTER TABLE app.rich ALTER a SET DEFAULT 1', `default of ${column}a is only on the target`],
  [
    'ALTER TABLE app."Order" ALTER id DROP IDENTITY',
    'sequence app."Order_id_seq" is missing on the target',
    'identity of column app."Order".id is missing on the target',
  ],
  [
    'ALTER TABLE app."Order" ALTER id SET GENERATED BY DEFAULT',
    'identity of column app."Order".id differs: ALWAYS on the source, BY DEFAULT on the target',
  ],
  [
    'ALTER TABLE app.event ALTER id ADD GENERATED ALWAYS AS IDENTITY',
    'identity of column app.event.id is only on the target',
  ],
  [
    'ALTER TABLE app.rich DROP a, ADD a int GENERATED ALWAYS AS (b + 1) STORED; CREATE STATISTICS app.together ON a, b FROM app.rich; ALTER TABLE app.rich ADD CONSTRAINT pair UNIQUE (a, b); CREATE INDEX rich_tall ON app.rich (a DESC NULLS LAST, ratio)',
    `generation of ${column}a is only on the target`,
  ],
  [
    'ALTER TABLE app.rich ALTER at TYPE timestamptz, ALTER name TYPE text',
    `collation of ${column}name is missing on the target`,
  ],
  [
    'ALTER TABLE app.rich ALTER name TYPE text COLLATE "POSIX"',
    `collation of ${column}name differs: pg_catalog."C" on the source, pg_catalog."POSIX" on the target`,
  ],
  [
    again(`INDEX rich_name ON app.rich (name) INCLUDE (at) WHERE status = 'new'`),
    'index app.rich_name differs: unique',
  ],
  [again('UNIQUE INDEX rich_name ON app.rich (name) INCLUDE (at)'), 'index app.rich_name differs: unique'],
  [again(`UNIQUE INDEX rich_name ON app.rich (name) WHERE status = 'new'`), 'index app.rich_name differs: unique'],
  [again(`UNIQUE INDEX rich_name ON app.rich (id) INCLUDE (at) WHERE status = 'new'`), 'index app.rich_name differs'],
  [
    'DROP INDEX app.rich_tall; CREATE INDEX rich_tall ON app.rich (a, ratio)',
    'index app.rich_tall differs: btree on app.rich (a DESC, ratio) on the source, btree on app.rich (a, ratio) on the target',
  ],
  [
    'DROP INDEX app.rich_tall; CREATE INDEX rich_tall ON app.rich USING brin (a, ratio)',
    'index app.rich_tall differs: btree',
  ],
  [
    key('(b) REFERENCES app.rich'),
    'constraint late of app.rich differs: FOREIGN KEY (b) REFERENCES app.rich (id) MATCH s ON UPDATE NO ACTION ON DELETE CASCADE on the source, FOREIGN KEY (b) REFERENCES app.rich (id) MATCH s ON UPDATE NO ACTION ON DELETE NO ACTION on the target',
  ],
  [key('(a) REFERENCES app.rich ON DELETE CASCADE'), 'constraint late of app.rich differs'],
  [key('(b) REFERENCES app.customer ON DELETE CASCADE'), 'constraint late of app.rich differs'],
  [key('(b) REFERENCES app.rich ON DELETE CASCADE DEFERRABLE'), 'constraint late of app.rich differs'],
  [
    // A savepoint right after it is an error of PostgreSQL 17.
    'ALTER DOMAIN app.short DROP CONSTRAINT short_check; COMMENT ON SCHEMA app IS $$short$$',
    'constraint short_check of app.short is missing on the target',
  ],
  ['ALTER DOMAIN app.short DROP DEFAULT', 'type app.short differs'],
  ['ALTER DOMAIN app.short SET NOT NULL', 'type app.short differs'],
  [add(`IMMUTABLE AS 'SELECT a - b'`), ADD],
  [add(`STABLE AS 'SELECT a + b'`), ADD],
  [add(`IMMUTABLE SECURITY DEFINER AS 'SELECT a + b'`), ADD],
  [add(`IMMUTABLE SET search_path = app AS 'SELECT a + b'`), ADD],
  [
    'ALTER PROCEDURE app.clear SECURITY INVOKER',
    'function app.clear(a integer, INOUT b integer) differs: plpgsql volatile security definer',
  ],
  ['DROP AGGREGATE app.product(numeric)', 'aggregate app.product(numeric) is missing on the target'],
  [aggregate(`SFUNC = numeric_add, STYPE = numeric, INITCOND = '1'`), 'aggregate app.product(numeric) differs'],
  [aggregate(`SFUNC = numeric_mul, STYPE = numeric, INITCOND = '2'`), 'aggregate app.product(numeric) differs'],
  [
    'DROP TRIGGER touch ON app.customer; CREATE TRIGGER touch BEFORE INSERT ON app.customer FOR EACH ROW EXECUTE FUNCTION app.touch()',
    'trigger touch of app.customer differs: before update each row executes app.touch on the source, before insert each row executes app.touch on the target',
  ],
  [
    'CREATE OR REPLACE RULE quiet AS ON DELETE TO app.customer WHERE OLD.age < 0 DO ALSO NOTHING',
    'rule quiet of app.customer differs',
  ],
  ['ALTER POLICY own ON app.customer TO reader', 'policy own of app.customer differs: using to PUBLIC'],
])('blocks after %s', async (change, ...expected) => {
  const { failures } = await after(change);
  const found = failures.filter((one) => speaksOf(one, ''));
  expect(found).toEqual(expected.map((start) => expect.stringContaining(start)));
});

describe('of one major, where another text is another expression', () => {
  const one: CatalogObject = {
    kind: 'default of column',
    name: 'app.rich.at',
    definition: 'given',
    text: 'now()',
    owner: null,
    valid: true,
    state: null,
    role: null,
    reads: null,
  };
  const judged = (here: string, there: string, sameMajor: boolean): [number, number] => {
    const { failures, warnings } = judge([{ ...one, text: here }], [{ ...one, text: there }], new Set(), sameMajor);
    return [failures.length, warnings.length];
  };
  const IN = `((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))`;
  const REREAD = `((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))`;

  it.each([
    ['now()', 'clock_timestamp()', true, [1, 0]],
    ['now()', 'clock_timestamp()', false, [0, 1]],
    ['now()', 'now()', true, [0, 0]],
    [IN, REREAD, true, [0, 1]],
    [IN, REREAD.replace(`'b'`, `'c'`), true, [1, 0]],
  ])('%s and %s (%s)', (here, there, sameMajor, found) => {
    expect(judged(here, there, sameMajor)).toEqual(found);
  });
});

const rich = (checks: string): string => `ALTER TABLE app.rich ${checks}`;
const view = (query: string): string => `CREATE OR REPLACE VIEW app.customers AS ${query}`;
const total = (query: string): string =>
  `DROP MATERIALIZED VIEW app.totals; CREATE MATERIALIZED VIEW app.totals AS ${query}`;
const rising = (condition: string): string =>
  `DROP TRIGGER rising ON app.rich; CREATE TRIGGER rising BEFORE UPDATE ON app.rich FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION app.touch()`;

describe('across majors, where the target reads both texts again,', () => {
  it.each([
    [
      'ALTER TABLE app.rich ALTER ratio SET DEFAULT 0.5 * 3',
      'default of column app.rich.ratio differs: (0.5 * (2)::numeric) on the source, (0.5 * (3)::numeric) on the target',
    ],
    [
      `ALTER DOMAIN app.short SET DEFAULT 'some'`,
      `type app.short differs: 'none'::character varying on the source, 'some'::character varying on the target`,
    ],
    [
      'ALTER POLICY own ON app.customer USING (id > 1)',
      'policy own of app.customer differs: (id > 0) on the source, (id > 1) on the target',
    ],
    [
      `ALTER TABLE app.customer DROP CONSTRAINT customer_age_check, ADD CONSTRAINT customer_age_check CHECK (age > 1)`,
      'constraint customer_age_check of app.customer differs: (age > 0) on the source, (age > 1) on the target',
    ],
    [
      'DROP INDEX app.order_note; CREATE INDEX order_note ON app."Order" (upper(note)) WHERE note IS NOT NULL',
      expect.stringMatching(/^index app.order_note differs: lower.* on the source, upper/),
    ],
    [
      'CREATE OR REPLACE RULE quiet AS ON DELETE TO app.customer WHERE OLD.age < 1 DO INSTEAD NOTHING',
      expect.stringMatching(/^rule quiet of app.customer differs: .*< 0.*< 1/s),
    ],
    [
      `CREATE OR REPLACE FUNCTION app.add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b'`,
      'function app.add(a integer, b integer) differs: 1 on the source, 2 on the target',
    ],
    [
      `ALTER DOMAIN app.short DROP CONSTRAINT short_check; ALTER DOMAIN app.short ADD CONSTRAINT short_check CHECK (VALUE <> 'x')`,
      expect.stringMatching(/^constraint short_check of app.short differs: .*''.* on the source, .*'x'/),
    ],
    [
      view('SELECT c.id, lower(c.email) AS email FROM app.customer c'),
      expect.stringMatching(/^view app.customers differs: .*upper.* on the source, .*lower/s),
    ],
    [
      view('SELECT c.id, upper(c.email) AS email FROM app.customer c WHERE c.id > 0'),
      expect.stringContaining('view app.customers differs'),
    ],
    [total('SELECT count(age) FROM app.customer'), expect.stringContaining('materialized view app.totals differs')],
    [rising('NEW.ratio < OLD.ratio'), expect.stringContaining('trigger rising of app.rich differs')],
  ])('another one blocks: %s', async (change, failure) => {
    const { failures } = await after(change);
    expect(failures.filter((one) => speaksOf(one, ''))).toEqual([failure]);
  });

  it.each([
    [view('(SELECT c.id, pg_catalog.upper(c.email) AS email FROM app.customer AS c)')],
    [rising('(NEW.ratio > OLD.ratio)')],
    [
      rich(`DROP CONSTRAINT rich_status_check,
        ADD CONSTRAINT rich_status_check CHECK ((status)::text = ANY (ARRAY['new'::varchar::text, 'done'::varchar::text]))`),
    ],
  ])('the same one in other words is no difference: %s', async (change) => {
    const usual = (await compare()).warnings;
    const { failures, warnings } = await after(change);
    expect({ failures, warnings }).toEqual({ failures: [], warnings: usual });
  });

  it('a view whose text it cannot read blocks, and an expression warns, each with the cause', async () => {
    await ends.target.query(
      'CREATE ROLE strict; GRANT USAGE ON SCHEMA app TO strict; REVOKE TEMP ON DATABASE postgres FROM PUBLIC',
    );
    try {
      const { failures, warnings } = await after(`
        ALTER POLICY own ON app.customer USING (id > 1); SET LOCAL ROLE strict`);
      const cause =
        /; the target cannot read both again: permission denied to create temporary tables in database "postgres"$/;
      expect(failures).toContainEqual(expect.stringMatching(/^view app.customers differs: /));
      for (const failure of failures) expect(failure).toMatch(cause);
      expect(warnings).toContainEqual(expect.stringMatching(cause));
    } finally {
      await ends.target.query('GRANT TEMP ON DATABASE postgres TO PUBLIC; DROP OWNED BY strict; DROP ROLE strict');
    }
  });

  it('leaves nothing behind', async () => {
    await compare();
    const { rows } = await ends.target.query(
      `SELECT relname FROM pg_class WHERE relpersistence = 't' UNION SELECT proname FROM pg_proc WHERE proname LIKE 'ibex%'`,
    );
    expect(rows).toEqual([]);
  });
});

describe('what a relation is beside its columns', () => {
  it.each([
    [
      'DROP TABLE app.event; CREATE TABLE app.event (id int, at date, PRIMARY KEY (id, at)); CREATE TABLE app.event_all () INHERITS (app.event)',
      'table app.event differs: at date NOT NULL, id integer NOT NULL PARTITION BY RANGE (at) on the source, at date NOT NULL, id integer NOT NULL on the target',
    ],
    [
      'ALTER TABLE app.event DETACH PARTITION app.event_all',
      'table app.event_all differs: at date NOT NULL, id integer NOT NULL PARTITION OF app.event DEFAULT on the source, at date NOT NULL, id integer NOT NULL on the target',
    ],
    [
      `ALTER TABLE app.event DETACH PARTITION app.event_all; ALTER TABLE app.event ATTACH PARTITION app.event_all FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')`,
      expect.stringContaining(`table app.event_all differs`),
    ],
    [
      'ALTER TABLE app.kind NO INHERIT app.base',
      expect.stringMatching(/^table app.kind differs: .* INHERITS app.base on/),
    ],
    ['ALTER TABLE app.rich SET UNLOGGED', expect.stringMatching(/^table app.rich differs: .* UNLOGGED on the target/)],
    [
      'ALTER VIEW app.guarded SET (check_option = cascaded)',
      expect.stringMatching(
        /WITH check_option=local, security_barrier=true on the source, .* WITH check_option=cascaded/,
      ),
    ],
    [
      'REFRESH MATERIALIZED VIEW app.totals WITH NO DATA',
      'materialized view app.totals is not populated on the target',
    ],
    ['DROP STATISTICS app.together', 'statistics app.together is missing on the target'],
    [
      'DROP STATISTICS app.together; CREATE STATISTICS app.together (ndistinct) ON a, b FROM app.rich',
      'statistics app.together differs: all kinds on app.rich (a, b) on the source, d on app.rich (a, b) on the target',
    ],
    [
      'ALTER SEQUENCE app.numbers INCREMENT 2 CYCLE',
      'sequence app.numbers differs: START 1 INCREMENT 1 CACHE 1 on the source, START 1 INCREMENT 2 CACHE 1 CYCLE on the target',
    ],
    [
      'ALTER SEQUENCE app.customer_id_seq OWNED BY NONE',
      expect.stringMatching(/^sequence app.customer_id_seq differs: .*OWNED BY app.customer.id on/),
    ],
    [
      'ALTER SEQUENCE app.numbers AS int',
      'range of sequence app.numbers differs: 1 to 9223372036854775807 on the source, 1 to 2147483647 on the target',
    ],
    [
      again(`UNIQUE INDEX rich_name ON app.rich (name text_pattern_ops) INCLUDE (at) WHERE status = 'new'`),
      expect.stringMatching(/^index app.rich_name differs: .*\(name\).* on the source, .*\(name text_pattern_ops\)/),
    ],
    [
      again(`UNIQUE INDEX rich_name ON app.rich (name COLLATE "POSIX") INCLUDE (at) WHERE status = 'new'`),
      expect.stringMatching(/^index app.rich_name differs: .*COLLATE pg_catalog."POSIX"/),
    ],
  ])('blocks after %s', async (change, failure) => {
    const { failures } = await after(change);
    expect(failures).toContainEqual(failure);
  });

  it('may be wider on the target where it is the range of a sequence', async () => {
    const usual = (await compare()).warnings;
    await ends.source.query('ALTER SEQUENCE app.numbers AS int');
    try {
      const { failures, warnings } = await compare();
      expect(failures).toEqual([]);
      expect(warnings.filter((one) => !usual.includes(one))).toEqual([
        'range of sequence app.numbers differs: 1 to 2147483647 on the source, 1 to 9223372036854775807 on the target',
      ]);
    } finally {
      await ends.source.query('ALTER SEQUENCE app.numbers AS bigint');
    }
  });
});

it.each([
  ['CREATE TABLE app.more ()', 'table app.more is only on the target'],
  [
    'CREATE ROLE other; ALTER SEQUENCE app.numbers OWNER TO other',
    'sequence app.numbers is owned by postgres on the source, by other on the target',
  ],
  ['ALTER ROLE reader RESET search_path', 'setting search_path of role reader is missing on the target'],
  [
    'ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM reader',
    'default privilege SELECT on tables of postgres in schema app for reader is missing on the target',
  ],
  ['GRANT DELETE ON app.customer TO reader', 'privilege DELETE on table app.customer for reader is only on the target'],
])('warns after %s', async (change, warning) => {
  const usual = (await compare()).warnings;
  const { failures, warnings } = await after(change);
  expect(failures).toEqual([]);
  expect(warnings.filter((one) => !usual.includes(one) && speaksOf(one, String(warning)))).toEqual([warning]);
});
