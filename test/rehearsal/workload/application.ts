/** A small application's database: pgbench's tables with a key on history, and a schema with what real ones have. */
export const applicationSchema = `
  CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
  CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
  CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
  CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22),
    hid bigserial PRIMARY KEY);
  INSERT INTO pgbench_branches SELECT 1, 0, '';
  INSERT INTO pgbench_tellers SELECT n, 1, 0, '' FROM generate_series(1, 10) n;
  INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 5000) n;

  CREATE SCHEMA "Shop";
  SET search_path = "Shop", public;
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE DOMAIN email AS varchar(60) CHECK (VALUE ~ '@');
  CREATE DOMAIN ratio AS float8;
  CREATE TABLE "Customer" (
    id bigserial PRIMARY KEY, "Name" text NOT NULL, mail email NOT NULL, code varchar(20) UNIQUE,
    feeling mood NOT NULL DEFAULT 'ok', tags text[], ratios ratio[], profile jsonb NOT NULL DEFAULT '{}',
    score float8, balance numeric(12, 2), seen timestamptz DEFAULT now(), secret bytea, active boolean DEFAULT true,
    updated_at timestamptz);
  CREATE UNIQUE INDEX ON "Customer" (lower(code));
  CREATE TABLE "order" (customer bigint REFERENCES "Customer", line int, note char(5), total real,
    PRIMARY KEY (customer, line));
  CREATE TABLE label (name text PRIMARY KEY, text text COLLATE "C" NOT NULL DEFAULT '', weight smallint UNIQUE);
  CREATE TABLE stock (item uuid PRIMARY KEY, amount int CHECK (amount BETWEEN 0 AND 3), changes int NOT NULL DEFAULT 0);
  CREATE TABLE audit (id bigserial PRIMARY KEY, what text, at timestamptz DEFAULT clock_timestamp());
  CREATE TABLE total (label text PRIMARY KEY, entries bigint NOT NULL);
  CREATE TABLE closed (id int PRIMARY KEY);
  CREATE TABLE keyless (id int);
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
  CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON "Customer" FOR EACH ROW EXECUTE PROCEDURE touch();
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO "Shop".audit (what) VALUES (TG_OP);
    UPDATE "Shop".total SET entries = entries + 1 WHERE label = 'stock';
    RETURN NULL; END $$;
  CREATE TRIGGER note AFTER INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE PROCEDURE note();
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed for ever'; END $$;
  CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON closed EXECUTE PROCEDURE refuse();
  ALTER TABLE closed DISABLE TRIGGER refuse;
  INSERT INTO closed SELECT generate_series(1, 40);
  ALTER TABLE closed ENABLE TRIGGER refuse;
  INSERT INTO "Customer" ("Name", mail, code, score, balance, ratios, tags)
    SELECT 'n' || n, n || '@example.org', 'c' || n, n / 3.0, n, ARRAY[n / 7.0], ARRAY['a', NULL]
    FROM generate_series(1, 200) n;
  INSERT INTO "order" SELECT n, l, 'x', n / 3.0 FROM generate_series(1, 100) n, generate_series(1, 3) l;
  INSERT INTO label SELECT 'l' || n, '', n FROM generate_series(1, 100) n;
  INSERT INTO stock SELECT md5(n::text)::uuid, n % 3 FROM generate_series(1, 100) n;
  INSERT INTO total SELECT 'stock', 0 UNION ALL SELECT 't' || n, 0 FROM generate_series(1, 20) n;
  RESET search_path;`;
