import type { Client } from 'pg';
import { CAPTURE_SCHEMA } from '../capture/names';
import { isApplicationSchema } from '../catalog/schemas';
import { serverVersion } from '../catalog/relations';
import { literal, sql } from '../sql';
import { privilegeQueries } from './catalog-privileges';

/** One object of the application as a server's catalog describes it. */
export interface CatalogObject {
  /** For example `table`, `index`, `constraint`, `privilege`. */
  readonly kind: string;
  /** Quoted, with schema; constraints and triggers with their table. */
  readonly name: string;
  /** What the object is, in words that both ends use alike where it is the same. */
  readonly definition: string;
  /** Role that owns it; null where ownership is another object's. */
  readonly owner: string | null;
  /** Whether the server relies on it: an index that is complete, a constraint that was validated. */
  readonly valid: boolean;
  /** How it stands where that can be switched: a trigger enabled or not, a table under row security; null elsewhere. */
  readonly state: string | null;
  /** The role that it is about, for privileges and settings of roles; null elsewhere, and for PUBLIC. */
  readonly role: string | null;
}

/** Objects of extensions come with them. */
const notOfExtension = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalog}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

const SCHEMA = isApplicationSchema('n.nspname', '$1');

const COLUMNS = sql`
  (SELECT string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END), ', ' ORDER BY a.attname)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`;

const relations = sql`
  SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
      WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'sequence' END AS kind,
    format('%I.%I', n.nspname, c.relname) AS name,
    CASE WHEN c.relkind = 'S' THEN '' ELSE coalesce(${COLUMNS}, '') END AS definition,
    pg_get_userbyid(c.relowner)::text AS owner, true AS valid,
    CASE WHEN c.relkind IN ('r', 'p') THEN concat_ws(' ', CASE WHEN c.relrowsecurity THEN 'row security' END,
      CASE WHEN c.relforcerowsecurity THEN 'forced row security' END) END AS state, NULL::text AS role
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND ${SCHEMA}
    AND ${notOfExtension('pg_class', 'c.oid')}`;

const indexes = sql`
  SELECT 'index', format('%I.%I', n.nspname, x.relname), pg_get_indexdef(i.indexrelid), NULL, i.indisvalid AND i.indisready, NULL, NULL
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = x.relnamespace
  WHERE c.relkind <> 't' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** Foreign keys that partitions inherit get their names anew on each server; the parent's stands for them. */
const constraints = (version: number): string => sql`
  SELECT 'constraint', format('%s of %I.%I', quote_ident(k.conname), n.nspname, c.relname), pg_get_constraintdef(k.oid),
    NULL, k.convalidated, NULL, NULL
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}
    ${version >= 110000 ? `AND (k.contype <> 'f' OR k.conparentid = 0)` : ''}`;

/** What capture and the fence put there is ours, wherever it stands; 11 writes PROCEDURE where 12 writes FUNCTION. */
const triggers = (version: number): string => sql`
  SELECT 'trigger', format('%s of %I.%I', quote_ident(g.tgname), n.nspname, c.relname),
    replace(pg_get_triggerdef(g.oid), ' EXECUTE PROCEDURE ', ' EXECUTE FUNCTION '), NULL, true,
    CASE g.tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'for replicas only' ELSE 'always' END, NULL
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
  WHERE NOT g.tgisinternal AND ${SCHEMA} AND f.nspname NOT IN (${literal(CAPTURE_SCHEMA)}, 'ibex')
    ${version >= 130000 ? 'AND g.tgparentid = 0' : ''}`;

const functions = (version: number): string => sql`
  SELECT 'function', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
    format('%s %s %s returns %s: %s', l.lanname, p.provolatile, p.prosecdef, pg_get_function_result(p.oid), md5(p.prosrc)),
    pg_get_userbyid(p.proowner)::text, true, NULL, NULL
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  WHERE ${SCHEMA} AND ${notOfExtension('pg_proc', 'p.oid')}
    AND ${version >= 110000 ? `p.prokind <> 'a'` : 'NOT p.proisagg'}`;

const types = sql`
  SELECT 'type', format('%I.%I', n.nspname, t.typname),
    CASE t.typtype WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
      FROM pg_enum e WHERE e.enumtypid = t.oid) ELSE format_type(t.typbasetype, t.typtypmod) END,
    pg_get_userbyid(t.typowner)::text, true, NULL, NULL
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd') AND ${SCHEMA} AND ${notOfExtension('pg_type', 't.oid')}`;

/** Expressions are written as each major likes, so that only the names are compared, and what is switched. */
const rulesAndPolicies = sql`
  SELECT 'rule', format('%s of %I.%I', quote_ident(r.rulename), n.nspname, c.relname), '', NULL, true,
    CASE r.ev_enabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'for replicas only' ELSE 'always' END, NULL
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE r.rulename <> '_RETURN' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}
  UNION ALL
  SELECT 'policy', format('%s of %I.%I', quote_ident(p.polname), n.nspname, c.relname), '', NULL, true,
    format('%s for %s', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, p.polcmd), NULL
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}
  UNION ALL
  SELECT 'extension', quote_ident(e.extname), '', NULL, true, NULL, NULL FROM pg_extension e`;

/** Views are written as each major likes; only those of one major can be compared by their text. */
const viewTexts = sql`
  SELECT 'view text', format('%I.%I', n.nspname, c.relname), md5(pg_get_viewdef(c.oid)), NULL, true, NULL, NULL
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('v', 'm') AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** The query of `readCatalog`; its parameter is the list of hidden schemas. */
export const catalogQuery = (version: number, withViewTexts: boolean): string =>
  [
    relations,
    indexes,
    constraints(version),
    triggers(version),
    functions(version),
    types,
    rulesAndPolicies,
    ...privilegeQueries,
    ...(withViewTexts ? [viewTexts] : []),
  ].join('\nUNION ALL\n');

/** The major of a server: 11 for 11.22. */
export const majorOf = async (client: Client): Promise<number> => Math.floor((await serverVersion(client)) / 10_000);

/** All objects of the application's schemas, except what extensions bring and what is ours. */
export async function readCatalog(
  client: Client,
  hidden: readonly string[],
  withViewTexts: boolean,
): Promise<CatalogObject[]> {
  const { rows } = await client.query<CatalogObject>(catalogQuery(await serverVersion(client), withViewTexts), [
    hidden,
  ]);
  return rows;
}
