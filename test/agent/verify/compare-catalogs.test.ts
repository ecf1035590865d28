import { speaksOf, startCatalogs, type Catalogs } from './catalogs';
import type { Ends } from './ends';

let catalogs: Catalogs;
let ends: Ends;
beforeAll(async () => {
  catalogs = await startCatalogs();
  ({ ends } = catalogs);
});
afterAll(() => ends.stop());

it('finds the catalogs of 11 and 17 equal that were made alike, apart from what is ours', async () => {
  const { failures, warnings, objects } = await catalogs.compare();
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
    `DROP INDEX app.event_at; CREATE INDEX event_all_at_idx ON app.event_all (at); CREATE INDEX event_at ON ONLY app.event (at)`,
    'index app.event_at is not valid on the target',
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
  const { failures } = await catalogs.after(change);
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
  const { failures } = await catalogs.after(change);
  const found = failures.filter((one) => speaksOf(one, ''));
  expect(found).toEqual(expected.map((start) => expect.stringContaining(start)));
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
    const { failures } = await catalogs.after(change);
    expect(failures).toContainEqual(failure);
  });

  it('may be wider on the target where it is the range of a sequence', async () => {
    const usual = (await catalogs.compare()).warnings;
    await ends.source.query('ALTER SEQUENCE app.numbers AS int');
    try {
      const { failures, warnings } = await catalogs.compare();
      expect(failures).toEqual([]);
      expect(warnings.filter((one) => !usual.includes(one))).toEqual([
        'range of sequence app.numbers differs: 1 to 2147483647 on the source, 1 to 9223372036854775807 on the target',
      ]);
    } finally {
      await ends.source.query('ALTER SEQUENCE app.numbers AS bigint');
    }
  });
});

describe('what only the source has', () => {
  it.each([
    [
      'what an extension brings, of which the extension stands for all',
      'CREATE EXTENSION tablefunc SCHEMA app',
      'DROP EXTENSION tablefunc',
      'extension tablefunc is missing on the target',
    ],
    [
      'an index that is not valid, which no dump has',
      `CREATE INDEX rich_b ON app.rich (b); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.rich_b'::regclass`,
      'DROP INDEX app.rich_b',
      'index app.rich_b is not valid on the source and missing on the target; unless it is just being made, DROP it on the source',
    ],
  ])('blocks nothing where it is %s', async (_what, make, drop, warning) => {
    const usual = (await catalogs.compare()).warnings;
    await ends.source.query(make);
    try {
      const { failures, warnings } = await catalogs.compare();
      expect(failures).toEqual([]);
      expect(warnings.filter((one) => !usual.includes(one))).toEqual([warning]);
    } finally {
      await ends.source.query(drop);
    }
  });
});

describe('the order of columns', () => {
  it.each([
    [
      'blocks in a type, whose values are moved by position',
      'CREATE TYPE app.spot AS (x text, y text)',
      'CREATE TYPE app.spot AS (y text, x text)',
      'DROP TYPE app.spot',
      ['type app.spot differs: x text, y text on the source, y text, x text on the target'],
    ],
    [
      'blocks in a table whose rows are values of a column',
      'CREATE TABLE app.spot (x int, y int); CREATE TABLE app.holder (spots app.spot[])',
      'CREATE TABLE app.spot (y int, x int); CREATE TABLE app.holder (spots app.spot[])',
      'DROP TABLE app.holder, app.spot',
      ['table app.spot differs: x integer, y integer on the source, y integer, x integer on the target'],
    ],
    [
      'does not matter in any other table, whose rows are moved by name',
      'CREATE TABLE app.spot (x int, y int); CREATE VIEW app.spots AS SELECT s FROM app.spot s',
      'CREATE TABLE app.spot (y int, x int); CREATE VIEW app.spots AS SELECT s FROM app.spot s',
      'DROP TABLE app.spot CASCADE',
      [],
    ],
  ])('%s', async (_what, here, there, drop, expected) => {
    await ends.source.query(here);
    try {
      expect((await catalogs.after(there)).failures).toEqual(expected);
    } finally {
      await ends.source.query(drop);
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
  const usual = (await catalogs.compare()).warnings;
  const { failures, warnings } = await catalogs.after(change);
  expect(failures).toEqual([]);
  expect(warnings.filter((one) => !usual.includes(one) && speaksOf(one, String(warning)))).toEqual([warning]);
});
