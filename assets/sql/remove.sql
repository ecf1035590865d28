-- Takes everything of Ibex and Bucardo off one database with psql alone, when the host that would do it is lost.
--
--   psql -X -f remove.sql "host=… dbname=… user=…"                  triggers of capture, queues, schema bucardo
--   psql -X -v fence=remove -f remove.sql "host=… dbname=… user=…"  the fence as well, and schema ibex
--
-- Run it on each end, as the login of the migration, the owner of the tables, or a superuser. Servers 10 to 18, psql 11 on. A
-- table that is in use is waited for half a second and then left: run the file again until it ends with status 0. It
-- may be run at any time and any number of times, on an end that has none of this, too.
--
-- WITHOUT fence=remove an end that refuses writes goes on refusing them. Of two ends only one may take writes: what is
-- written to the other one is lost to it. docs/rollback.md tells which one it is from both fences. Between the point of
-- no return of a cutover and the opening of the target (source "final", target "closed") the last changes stand in the
-- queues that this file removes: take the fence off the source then, and not off the target.

\set QUIET on
\set ON_ERROR_STOP off
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET search_path = pg_catalog;
SET lock_timeout = '500ms';
SET default_transaction_read_only = off;

\if :{?fence}
\else
  \set fence keep
\endif
SELECT :'fence' = 'remove' AS remove_fence \gset

-- A trigger is ours when its function is. DROP TRIGGER by itself holds a weak lock while it waits for the strong one, so that
-- a transaction which reads the table, and then alters it, would be refused as a deadlock.
\set lockable 'pg_has_role(c.relowner, ''USAGE'') AND has_table_privilege(c.oid, ''UPDATE, DELETE, TRUNCATE'')'
\set lock 'CASE WHEN ' :lockable ' THEN format(''LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE; '', n.nspname, c.relname) END'
\set triggers 'SELECT t.tgname, n.nspname, c.relname, f.nspname AS ours, ' :lock ' AS lock FROM pg_trigger t'
\set triggers :triggers ' JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace'
\set triggers :triggers ' JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace'
\set triggers :triggers ' WHERE NOT t.tgisinternal'

SELECT concat(lock, format('DROP TRIGGER IF EXISTS %I ON %I.%I', tgname, nspname, relname))
FROM (:triggers) t WHERE ours = 'bucardo' ORDER BY nspname, relname, tgname
\gexec

-- Its functions go only when no table calls them any more, so that no write fails in between.
SELECT 'DROP SCHEMA bucardo CASCADE'
WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'bucardo')
  AND NOT EXISTS (SELECT FROM (:triggers) t WHERE ours = 'bucardo')
\gexec

-- The login of Bucardo, where nobody uses it.
SELECT statement FROM pg_roles, LATERAL (VALUES
  (1, 'DROP OWNED BY ibex_bucardo'), (2, 'DROP ROLE ibex_bucardo')) AS s (step, statement)
WHERE rolname = 'ibex_bucardo' ORDER BY step
\gexec

\if :remove_fence
  -- All tables at once first: the function decides for each of them.
  SELECT 'CREATE OR REPLACE FUNCTION ibex.fence() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp '
    || 'AS $$/* open */ BEGIN RETURN NULL; END$$'
  WHERE EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ibex' AND p.proname = 'fence')
  \gexec

  SELECT concat(lock, format('DROP TRIGGER IF EXISTS %I ON %I.%I', tgname, nspname, relname))
  FROM (:triggers) t WHERE ours = 'ibex' ORDER BY nspname, relname
  \gexec

  SELECT 'DROP SCHEMA ibex CASCADE'
  WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ibex')
    AND NOT EXISTS (SELECT FROM (:triggers) t WHERE ours = 'ibex')
  \gexec
\else
  SELECT 'the fence is left as it is: ' || coalesce(substring(p.prosrc FROM '^/\* (.*?) \*/'), 'unknown')
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'ibex' AND p.proname = 'fence';
\endif

SELECT 'still there: ' || what FROM (
  SELECT 'schema ' || nspname AS what FROM pg_namespace
  WHERE nspname = 'bucardo' OR (nspname = 'ibex' AND :'fence' = 'remove')
  UNION ALL
  SELECT format('trigger %I on %I.%I', tgname, nspname, relname)
  FROM (:triggers) t WHERE ours = 'bucardo' OR (ours = 'ibex' AND :'fence' = 'remove')
  UNION ALL
  SELECT 'role ibex_bucardo' FROM pg_roles WHERE rolname = 'ibex_bucardo') AS l
ORDER BY 1;

-- The exit status: 3 while something is left.
\set ON_ERROR_STOP on
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'bucardo')
    OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'ibex_bucardo')
  THEN
    RAISE EXCEPTION 'not everything is off yet: run this file again';
  END IF;
END
$$;
\if :remove_fence
  DO $$
  BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ibex') THEN
      RAISE EXCEPTION 'not everything is off yet: run this file again';
    END IF;
  END
  $$;
\endif
\echo nothing is left of what was to be removed
