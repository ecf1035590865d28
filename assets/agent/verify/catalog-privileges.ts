import { sql } from '../sql';
import { notOfExtension, ROUTINE, SCHEMA } from './catalog-sql';

/**
 * Rights beside the owner's own, which owners of each server have by themselves. MAINTAIN came with 17, which has it in
 * what was granted as ALL.
 */
const rights = (kind: string, what: string, acl: string, owner: string, from: string): string => sql`
  SELECT ${kind}, format('%s on %s for %s', e.privilege_type, ${what},
      CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END),
    CASE WHEN e.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END, NULL, true, NULL,
    CASE e.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(e.grantee)::text END, NULL, NULL
  FROM ${from} CROSS JOIN LATERAL aclexplode(${acl}) AS e
  WHERE e.grantee <> ${owner} AND e.privilege_type <> 'MAINTAIN'`;

const RELATION_KIND = `CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END`;

/** What the catalogs say of privileges and settings, in the columns of `CatalogObject`. */
export const privilegeQueries: readonly string[] = [
  `${rights(
    `'privilege'`,
    `format('%s %I.%I', ${RELATION_KIND}, n.nspname, c.relname)`,
    `coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))`,
    'c.relowner',
    'pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace',
  )} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`,
  `${rights(
    `'privilege'`,
    `format('column %I.%I.%I', n.nspname, c.relname, a.attname)`,
    'a.attacl',
    'c.relowner',
    'pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace',
  )} AND a.attacl IS NOT NULL AND NOT a.attisdropped AND c.relpersistence <> 't' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`,
  `${rights(
    `'privilege'`,
    `'function ' || ${ROUTINE}`,
    `coalesce(p.proacl, acldefault('f', p.proowner))`,
    'p.proowner',
    'pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace',
  )} AND ${SCHEMA} AND ${notOfExtension('pg_proc', 'p.oid')}`,
  `${rights(
    `CASE n.nspname WHEN 'public' THEN 'privilege of public' ELSE 'privilege' END`,
    `format('schema %I', n.nspname)`,
    `coalesce(n.nspacl, acldefault('n', n.nspowner))`,
    'n.nspowner',
    'pg_namespace n',
  )} AND ${SCHEMA} AND ${notOfExtension('pg_namespace', 'n.oid')}`,
  rights(
    `'default privilege'`,
    sql`format('%s of %s%s', CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
        WHEN 'T' THEN 'types' ELSE 'schemas' END, quote_ident(pg_get_userbyid(d.defaclrole)),
      coalesce((SELECT format(' in schema %I', n.nspname) FROM pg_namespace n WHERE n.oid = d.defaclnamespace), ''))`,
    'd.defaclacl',
    'd.defaclrole',
    'pg_default_acl d',
  ),
  sql`
    SELECT 'setting', format('%s of %s', split_part(c.pair, '=', 1),
        CASE s.setrole WHEN 0 THEN 'the database' ELSE 'role ' || quote_ident(pg_get_userbyid(s.setrole)) END),
      substr(c.pair, strpos(c.pair, '=') + 1), NULL, true, NULL,
      CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole)::text END, NULL, NULL
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c (pair)
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND NOT (s.setdatabase = 0 AND s.setrole = 0)`,
];
