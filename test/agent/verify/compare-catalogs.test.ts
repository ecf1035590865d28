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
  SET search_path = pg_catalog`;

beforeAll(async () => {
  await ends.run('both', SCHEMA);
  await ends.run(
    'source',
    'CREATE TRIGGER bucardo_delta AFTER INSERT ON app.customer EXECUTE PROCEDURE bucardo.delta()',
  );
});

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

it('finds the catalogs of 11 and 17 equal that were made alike, apart from what is ours', async () => {
  const { failures, warnings, objects } = await compare();
  expect({ failures, warnings }).toEqual({ failures: [], warnings: [] });
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
])('fails after %s', async (change, failure) => {
  const { failures } = await after(change);
  expect(failures).toEqual([failure]);
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
])('warns after %s', async (change, warning) => {
  expect(await after(change)).toEqual({ failures: [], warnings: [warning] });
});
