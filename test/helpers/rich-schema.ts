/**
 * A database such as applications have, with the things that get lost on the way: owners in schemas of somebody else,
 * grants by grantees, names to be quoted, expressions, partitions, and values that COPY must escape.
 */
export const RICH_SCHEMA = `
  RESET SESSION AUTHORIZATION; CREATE EXTENSION citext; SET SESSION AUTHORIZATION mover;
  CREATE EXTENSION pgcrypto;
  CREATE ROLE app_owner; CREATE ROLE app_rw; CREATE ROLE "Odd Role";
  CREATE ROLE application LOGIN CONNECTION LIMIT 40 IN ROLE app_rw;
  CREATE ROLE forgotten LOGIN IN ROLE app_rw;
  ALTER ROLE application SET search_path = "my App", public;
  CREATE SCHEMA "my App" AUTHORIZATION app_owner;
  CREATE SCHEMA sales AUTHORIZATION app_owner;
  GRANT USAGE ON SCHEMA "my App", sales TO app_rw;
  GRANT USAGE ON SCHEMA "my App" TO "Odd Role";

  CREATE TYPE "my App".mood AS ENUM ('sad', 'so so', 'happy');
  CREATE DOMAIN "my App".percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
  CREATE FUNCTION "my App".touch() RETURNS trigger LANGUAGE plpgsql AS $f$
  BEGIN
    --
    -- Name: not an entry; Type: TABLE; Schema: x; Owner: y
    --
    NEW.touched := now();
    RETURN NEW;
  END $f$;
  CREATE FUNCTION sales.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
  ALTER FUNCTION sales.double(int) OWNER TO "Odd Role";
  REVOKE ALL ON FUNCTION sales.double(int) FROM PUBLIC;

  CREATE TABLE "my App"."Order" (
    id bigserial PRIMARY KEY,
    "select" text NOT NULL DEFAULT 'it''s',
    mood "my App".mood, share "my App".percent, tags text[], data jsonb, raw bytea, price numeric, f float8,
    touched timestamptz, code varchar(20) UNIQUE, mail citext, mails citext[],
    CONSTRAINT positive CHECK (price >= 0 OR price = 'NaN'));
  CREATE UNIQUE INDEX "Order lower" ON "my App"."Order" (lower("select")) WHERE mood = 'happy';
  CREATE INDEX "Order by tag" ON "my App"."Order" USING gin (tags);
  CREATE INDEX "Order price" ON "my App"."Order" (price DESC NULLS LAST);
  CREATE TRIGGER "touch it" BEFORE INSERT OR UPDATE ON "my App"."Order"
    FOR EACH ROW EXECUTE PROCEDURE "my App".touch();
  COMMENT ON TABLE "my App"."Order" IS 'two
lines';
  CREATE TABLE "my App".line (
    "order" bigint REFERENCES "my App"."Order" ON DELETE CASCADE, position int GENERATED ALWAYS AS IDENTITY,
    during int4range, note text, PRIMARY KEY ("order", position));
  ALTER TABLE "my App".line ADD CONSTRAINT "long note" CHECK (length(note) < 5) NOT VALID;
  CREATE TABLE sales.booking (name text NOT NULL, during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
  CREATE UNIQUE INDEX booking_name ON sales.booking (name);
  CREATE TABLE sales.event (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE sales.event_1 PARTITION OF sales.event FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
  CREATE TABLE sales.event_2 PARTITION OF sales.event FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
  CREATE INDEX event_at ON sales.event (at);
  CREATE TABLE public.plain (id uuid PRIMARY KEY DEFAULT public.gen_random_uuid(), parent uuid REFERENCES public.plain);
  CREATE STATISTICS sales.correlated ON id, at FROM sales.event_1;
  CREATE VIEW "my App".totals AS SELECT id, sum(price) AS price FROM "my App"."Order" GROUP BY id;
  CREATE VIEW sales.named AS SELECT o.* FROM "my App"."Order" o GROUP BY o.id;
  CREATE MATERIALIZED VIEW sales.summary AS SELECT count(*) AS orders FROM "my App"."Order";
  CREATE MATERIALIZED VIEW sales.base AS SELECT orders AS n FROM sales.summary;
  CREATE UNIQUE INDEX base_n ON sales.base (n);
  CREATE RULE ignore AS ON DELETE TO public.plain WHERE OLD.parent IS NOT NULL DO INSTEAD NOTHING;
  ALTER TABLE public.plain ENABLE ROW LEVEL SECURITY;
  CREATE POLICY everybody ON public.plain TO app_rw USING (true);

  DO $do$ DECLARE r record; BEGIN
    FOR r IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname IN ('my App', 'sales', 'public') AND c.relkind IN ('r', 'p', 'v', 'm')
    LOOP EXECUTE format('ALTER TABLE %s OWNER TO app_owner', r.name); END LOOP;
  END $do$;
  ALTER TABLE sales.booking OWNER TO "Odd Role";
  ALTER STATISTICS sales.correlated OWNER TO "Odd Role";
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "my App" TO app_rw;
  GRANT SELECT ON "my App"."Order" TO "Odd Role" WITH GRANT OPTION;
  SET ROLE "Odd Role"; GRANT SELECT ON "my App"."Order" TO PUBLIC; RESET ROLE;
  GRANT SELECT (note) ON "my App".line TO "Odd Role";
  ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA sales GRANT SELECT ON TABLES TO app_rw;`;

/** Rows that are hard to carry. */
export const RICH_ROWS = `
  INSERT INTO "my App"."Order" ("select", mood, share, tags, data, raw, price, f, code) VALUES
    (E'tab\\t newline\\n return\\r backslash\\\\ \\\\.', 'happy', 12.5, ARRAY['a,b', NULL, '"', E'\\\\'], '{"a": ["\\u00e4", null]}', '\\x00ff5c2e0a', 'NaN', 'Infinity', NULL),
    (E'\\\\.', 'so so', NULL, '{}', 'null', '', 0.10, 0.1 + 0.2, ''),
    ('', NULL, 0, NULL, NULL, NULL, 12345678901234567890.123456789, '-0', '\\N'),
    ('😀 ä', 'sad', 100, '{{1,2},{3,4}}', '1e400', '\\x5c', NULL, 1e-300, 'c');
  INSERT INTO "my App"."Order" ("select", price) SELECT repeat(md5(i::text), 2), i FROM generate_series(1, 3000) i;
  INSERT INTO "my App".line ("order", during, note) SELECT 1 + i % 4, int4range(i, i + 5), left('n' || i, 4) FROM generate_series(1, 500) i;
  ALTER TABLE "my App".line DROP CONSTRAINT "long note";
  INSERT INTO "my App".line ("order", note) VALUES (1, 'too long for the check');
  ALTER TABLE "my App".line ADD CONSTRAINT "long note" CHECK (length(note) < 50) NOT VALID;
  INSERT INTO sales.booking VALUES ('a', '[1,5)'), ('b', '[5,9)');
  INSERT INTO sales.event SELECT i, date '2020-01-01' + i FROM generate_series(1, 700) i;
  INSERT INTO public.plain VALUES ('00000000-0000-0000-0000-000000000001', NULL), ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001');
  REFRESH MATERIALIZED VIEW sales.summary; REFRESH MATERIALIZED VIEW sales.base;`;

/** Drops what belongs to the server and not to one database. */
export const RICH_ROLES: readonly string[] = ['app_owner', 'app_rw', 'Odd Role', 'application', 'forgotten'];

const APPLICATION = `n.nspname IN ('my App', 'sales', 'public')`;

/** Catalogs of both ends as they must be equal, by what they hold; each query gives ordered rows. */
export const CATALOG_QUERIES: Readonly<Record<string, string>> = {
  relations: `SELECT n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner) AS owner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${APPLICATION} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1, 2`,
  columns: `SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
      replace(pg_get_expr(d.adbin, d.adrelid), 'public.', '') AS "default"
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE ${APPLICATION} AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 ORDER BY 1, 2, a.attnum`,
  grants: `SELECT n.nspname, c.relname, pg_get_userbyid(e.grantor) AS grantor,
      CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee) END AS grantee, e.privilege_type, e.is_grantable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) e
    WHERE ${APPLICATION} AND e.privilege_type <> 'MAINTAIN' ORDER BY 1, 2, 3, 4, 5`,
  columnGrants: `SELECT c.relname, a.attname, a.attacl::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attacl IS NOT NULL AND c.relnamespace > 16000 ORDER BY 1, 2`,
  schemas: `SELECT nspname, pg_get_userbyid(nspowner) AS owner, nspacl::text FROM pg_namespace
    WHERE nspname IN ('my App', 'sales') ORDER BY 1`,
  functions: `SELECT p.oid::regprocedure::text AS name, pg_get_userbyid(p.proowner) AS owner, p.prosrc, p.proacl::text
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('my App', 'sales') ORDER BY 1`,
  types: `SELECT t.typname, pg_get_userbyid(t.typowner) AS owner,
      array(SELECT enumlabel FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY enumsortorder)::text AS labels
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE ${APPLICATION} AND t.typtype IN ('e', 'd') ORDER BY 1`,
  comments: `SELECT d.objoid::regclass::text AS name, d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE d.classoid = 'pg_class'::regclass AND ${APPLICATION} ORDER BY 1`,
  settings: `SELECT pg_get_userbyid(setrole) AS role, setconfig FROM pg_db_role_setting
    WHERE setrole <> 0 AND setdatabase = 0 ORDER BY 1`,
};

/** What is made after the rows. Servers before 12 do not list the indexes of partitioned tables. */
export const LATE_QUERIES: Readonly<Record<string, string>> = {
  constraints: `SELECT c.conrelid::regclass::text AS "table", c.conname, c.contype, c.convalidated, pg_get_constraintdef(c.oid)
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE ${APPLICATION} AND c.contype <> 'n' AND c.contypid = 0 ORDER BY 1, 2`,
  indexes: `SELECT schemaname, tablename, indexname, replace(indexdef, ' ONLY ', ' ') AS definition FROM pg_indexes
    WHERE schemaname IN ('my App', 'sales', 'public') AND tablename <> 'event' ORDER BY 1, 2, 3`,
  triggers: `SELECT t.tgrelid::regclass::text AS "table", t.tgname, t.tgenabled FROM pg_trigger t
    JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
    WHERE NOT t.tgisinternal AND f.nspname NOT IN ('bucardo', 'ibex') ORDER BY 1, 2`,
  rules: `SELECT r.ev_class::regclass::text AS "table", r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${APPLICATION} ORDER BY 1, 2`,
  rowSecurity: `SELECT oid::regclass::text AS name FROM pg_class WHERE relrowsecurity ORDER BY 1`,
  defaultGrants: `SELECT pg_get_userbyid(defaclrole) AS role, defaclnamespace::regnamespace::text, defaclacl::text
    FROM pg_default_acl ORDER BY 1`,
  policies: `SELECT tablename, policyname, roles::text, qual FROM pg_policies ORDER BY 1, 2`,
  statistics: `SELECT stxname, stxrelid::regclass::text, pg_get_userbyid(stxowner) AS owner FROM pg_statistic_ext ORDER BY 1`,
};
