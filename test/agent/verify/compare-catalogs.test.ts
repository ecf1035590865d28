import { compareCatalogs, type CatalogComparison } from '../../../assets/agent/verify/compare-catalogs';
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
  CREATE SEQUENCE numbers;
  CREATE TABLE customer (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, mood mood, age int CHECK (age > 0));
  CREATE TABLE "Order" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint REFERENCES customer, note short);
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

const compare = (): Promise<CatalogComparison> => compareCatalogs(ends.source, ends.target, config());

/** Changes the target within a transaction that is taken back. */
async function after(change: string): Promise<Pick<CatalogComparison, 'failures' | 'warnings'>> {
  await ends.target.query('BEGIN');
  try {
    await ends.target.query(change);
    const { failures, warnings } = await compare();
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
    table: 4,
    view: 1,
    'materialized view': 1,
    sequence: 3,
    index: 8,
    constraint: 7,
    trigger: 2,
    function: 2,
    type: 2,
    rule: 1,
    policy: 1,
    extension: 1,
    privilege: 8,
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

it.each([
  ['CREATE TABLE app.more ()', 'table app.more is only on the target'],
  [
    'CREATE ROLE other; ALTER SEQUENCE app.numbers OWNER TO other',
    'sequence app.numbers is owned by postgres on the source, by other on the target',
  ],
  [
    `CREATE OR REPLACE FUNCTION app.add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql STABLE AS 'SELECT a + b'`,
    expect.stringMatching(/^function app.add\(a integer, b integer\) differs: sql i f returns integer: /),
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
