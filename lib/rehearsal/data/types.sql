-- Run by the owner of the source's database. Schemas, types, sequences and functions of the example.
CREATE SCHEMA shop;
CREATE SCHEMA billing;
CREATE SCHEMA "Mixed Case";
COMMENT ON SCHEMA shop IS 'What customers see; "quoted" and it''s fine';

CREATE TYPE shop.customer_status AS ENUM ('new', 'active', 'on hold', 'gone');
CREATE TYPE shop.address AS (street text, city text, "zip" text);
CREATE DOMAIN shop.postal_code AS text CHECK (VALUE ~ '^[0-9]{5}$');
CREATE DOMAIN billing.money_amount AS numeric(14, 2) NOT NULL DEFAULT 0 CHECK (VALUE > -1000000000);
COMMENT ON TYPE shop.address IS 'Street, city and zip code';

-- Owned by no column; the second counts down.
CREATE SEQUENCE shop.ticket_number START 1000 INCREMENT 10 CACHE 5;
CREATE SEQUENCE shop.countdown INCREMENT -1 MINVALUE -1000000 MAXVALUE -1 START -1;
CREATE SEQUENCE billing."Invoice Number" AS integer START 1;

CREATE FUNCTION shop.normalized(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT pg_catalog.lower(pg_catalog.btrim(name)) $$;

CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := pg_catalog.clock_timestamp();
  RETURN NEW;
END
$$;

CREATE FUNCTION "Mixed Case"."Write Log"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb;
BEGIN
  IF TG_OP = 'DELETE' THEN
    changed := to_jsonb(OLD);
  ELSE
    changed := to_jsonb(NEW);
  END IF;
  INSERT INTO "Mixed Case"."Log Entry" ("Table Name", "Operation", "Row")
  VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP, changed);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION "Mixed Case"."Write Log"() IS 'Writes a second table, which must not be written twice on the target';
