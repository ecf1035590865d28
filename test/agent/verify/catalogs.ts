import type { Client } from 'pg';
import { compareCatalogs, type CatalogComparison } from '../../../assets/agent/verify/compare-catalogs';
import { config, startEnds, type Ends } from './ends';

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

/** Two ends whose catalogs were made alike, but for what is ours on the source and a role that the target has not. */
export interface Catalogs {
  readonly ends: Ends;
  compare(target?: Client): Promise<CatalogComparison>;
  /** What differs when the target is changed within a transaction, which is taken back. */
  after(change: string): Promise<Pick<CatalogComparison, 'failures' | 'warnings'>>;
}

export async function startCatalogs(): Promise<Catalogs> {
  const ends = await startEnds();
  await ends.run('both', SCHEMA);
  await ends.run(
    'source',
    'CREATE TRIGGER bucardo_delta AFTER INSERT ON app.customer EXECUTE PROCEDURE bucardo.delta()',
  );
  await ends.run('source', 'GRANT SELECT ON app.customer TO nobody_there');
  await ends.run('target', 'DROP ROLE nobody_there');
  const compare = (target: Client = ends.target): Promise<CatalogComparison> =>
    compareCatalogs(ends.source, target, config());
  return {
    ends,
    compare,
    after: async (change) => {
      await ends.target.query('BEGIN');
      try {
        await ends.target.query(change);
        const { failures, warnings } = await compare(within(ends.target));
        return { failures, warnings };
      } finally {
        await ends.target.query('ROLLBACK');
      }
    },
  };
}

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

/** With an object its privileges come and go; they have cases of their own. */
export const speaksOf = (message: string, expected: string): boolean =>
  !message.startsWith('privilege') || expected.startsWith('privilege');
