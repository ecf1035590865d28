import { sql } from '../sql';
import { notOfExtension, SCHEMA } from '../verify/catalog-sql';
import { askFor, warning, type Check } from './check';

/** First version with generated columns. */
const GENERATED = 120_000;

/** First version with functions whose body is read when they are made, and means the same ever after. */
const READ_BODIES = 140_000;

const CALLED_BY_COLUMNS = sql`
  SELECT d.refobjid, c.relnamespace, format('table %s', c.oid::regclass)
  FROM pg_depend d JOIN pg_attrdef v ON d.classid = 'pg_attrdef'::regclass AND v.oid = d.objid
  JOIN pg_attribute a ON a.attrelid = v.adrelid AND a.attnum = v.adnum AND a.attgenerated <> ''
  JOIN pg_class c ON c.oid = v.adrelid
  WHERE d.refclassid = 'pg_proc'::regclass`;

/**
 * Functions that are called for each row that is written, with no search path of their own: of checks, domains, generated
 * columns, partition keys, and expressions and predicates of indexes. Of a generated column servers before 15 note the
 * function as the table's, as of a partition key.
 */
const CALLED = (version: number): string => sql`
  SELECT p.oid::regprocedure::text AS name, min(u.name) AS "by", count(DISTINCT u.name)::int - 1 AS more
  FROM (
    SELECT d.refobjid AS function, c.connamespace AS schema,
      CASE c.conrelid WHEN 0 THEN format('domain %s', c.contypid::regtype) ELSE format('table %s', c.conrelid::regclass) END AS name
    FROM pg_depend d JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
    WHERE d.refclassid = 'pg_proc'::regclass AND c.contype = 'c'
    UNION ALL
    SELECT d.refobjid, c.relnamespace,
      format('%s %s', CASE WHEN c.relkind IN ('i', 'I') THEN 'index' ELSE 'table' END, c.oid::regclass)
    FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    WHERE d.refclassid = 'pg_proc'::regclass
    ${version < GENERATED ? '' : `UNION ALL ${CALLED_BY_COLUMNS}`}) AS u
  JOIN pg_namespace n ON n.oid = u.schema JOIN pg_proc p ON p.oid = u.function JOIN pg_language l ON l.oid = p.prolang
  WHERE ${SCHEMA} AND ${notOfExtension('pg_proc', 'p.oid')} AND l.lanname NOT IN ('c', 'internal')
    AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s (setting) WHERE s.setting ~ '^search_path=')
    ${version < READ_BODIES ? '' : 'AND p.prosqlbody IS NULL'}
  GROUP BY p.oid ORDER BY 1`;

const searchPaths = askFor<{ name: string; by: string; more: number }>(
  'search paths of functions',
  'source',
  ({ sourceVersion }) => CALLED(sourceVersion),
  ({ name, by, more }) =>
    warning(
      `function ${name}, which ${by}${more > 0 ? ` and ${more} more` : ''} has called for each row, has no search_path of its own: in sessions of Ibex it finds things in pg_catalog only; unless its body names the schema of all else, ALTER FUNCTION … SET search_path`,
    ),
);

const NOT_VALID = sql`
  SELECT format('%I', c.conname) AS name, c.contypid::regtype::text AS domain
  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
  WHERE c.contypid <> 0 AND NOT c.convalidated AND ${SCHEMA} AND ${notOfExtension('pg_type', 'c.contypid')} ORDER BY 2, 1`;

/** Of a table such a constraint holds for every row that changes; of a domain only where that value does. */
const notValid = askFor<{ name: string; domain: string }>(
  'domains that are not valid',
  'source',
  NOT_VALID,
  ({ name, domain }) =>
    warning(
      `constraint ${name} of domain ${domain} is NOT VALID: a row that violates it stops its table once anything of it changes, since the target checks the value anew; correct such rows and ALTER DOMAIN ${domain} VALIDATE CONSTRAINT ${name}, or drop it until after the cutover`,
    ),
);

/** What the application has checked or computed for each row that is written. */
export const rowRuleChecks: readonly Check[] = [searchPaths, notValid];
