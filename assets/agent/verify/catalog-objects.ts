import type { Client } from 'pg';
import { serverVersion } from '../catalog/relations';
import { sql } from '../sql';
import { codeQueries } from './catalog-code';
import { columnQueries } from './catalog-columns';
import { indexQueries } from './catalog-indexes';
import { privilegeQueries } from './catalog-privileges';
import { notOfExtension, SCHEMA } from './catalog-sql';

/** One object of the application as a server's catalog describes it. */
export interface CatalogObject {
  /** For example `table`, `index`, `constraint`, `privilege`. */
  readonly kind: string;
  /** Quoted, with schema; constraints and triggers with their table. */
  readonly name: string;
  /** What the object is, in words that both ends use alike where it is the same. */
  readonly definition: string;
  /** Its expressions, as a server of its major words them; null where it has none. */
  readonly text: string | null;
  /** Role that owns it; null where ownership is another object's. */
  readonly owner: string | null;
  /** Whether the server relies on it: an index that is complete, a constraint that was validated. */
  readonly valid: boolean;
  /** How it stands where that can be switched: a trigger enabled or not, a table under row security; null elsewhere. */
  readonly state: string | null;
  /** The role that it is about, for privileges and settings of roles; null elsewhere, and for PUBLIC. */
  readonly role: string | null;
}

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
      CASE WHEN c.relforcerowsecurity THEN 'forced row security' END) END AS state, NULL::text AS role, NULL::text AS text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND ${SCHEMA}
    AND ${notOfExtension('pg_class', 'c.oid')}`;

const types = sql`
  SELECT 'type', format('%I.%I', n.nspname, t.typname),
    CASE t.typtype WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
      FROM pg_enum e WHERE e.enumtypid = t.oid)
    ELSE concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
      CASE WHEN t.typdefaultbin IS NOT NULL THEN 'with a default' END) END,
    pg_get_userbyid(t.typowner)::text, true, NULL, NULL, pg_get_expr(t.typdefaultbin, 0)
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd') AND ${SCHEMA} AND ${notOfExtension('pg_type', 't.oid')}`;

const extensions = `SELECT 'extension', quote_ident(e.extname), '', NULL, true, NULL, NULL, NULL FROM pg_extension e`;

/** Views are written as each major likes; only those of one major can be compared by their text. */
const viewTexts = sql`
  SELECT 'view text', format('%I.%I', n.nspname, c.relname), md5(pg_get_viewdef(c.oid)), NULL, true, NULL, NULL, NULL
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('v', 'm') AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** The query of `readCatalog`; its parameter is the list of hidden schemas. */
export const catalogQuery = (version: number, withViewTexts: boolean): string =>
  [
    relations,
    ...columnQueries(version),
    ...indexQueries(version),
    ...codeQueries(version),
    types,
    extensions,
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
