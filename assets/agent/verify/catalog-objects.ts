import type { Client } from 'pg';
import { serverVersion } from '../catalog/relations';
import { sql } from '../sql';
import { codeQueries } from './catalog-code';
import { columnQueries } from './catalog-columns';
import { indexQueries } from './catalog-indexes';
import { privilegeQueries } from './catalog-privileges';
import { relationQueries } from './catalog-relations';
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
  /** What the text is about, as `wordings.ts` needs it to have the text read again; null where it is about nothing. */
  readonly reads: string | null;
  /** Role that owns it; null where ownership is another object's. */
  readonly owner: string | null;
  /** Whether the server relies on it: an index that is complete, a constraint that was validated. */
  readonly valid: boolean;
  /** How it stands where that can be switched: a trigger enabled or not, a table under row security; null elsewhere. */
  readonly state: string | null;
  /** The role that it is about, for privileges and settings of roles; null elsewhere, and for PUBLIC. */
  readonly role: string | null;
}

const types = sql`
  SELECT 'type', format('%I.%I', n.nspname, t.typname),
    CASE t.typtype WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
      FROM pg_enum e WHERE e.enumtypid = t.oid)
    ELSE concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
      CASE WHEN t.typdefaultbin IS NOT NULL THEN 'with a default' END) END,
    pg_get_userbyid(t.typowner)::text, true, NULL, NULL, pg_get_expr(t.typdefaultbin, 0), NULL
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd') AND ${SCHEMA} AND ${notOfExtension('pg_type', 't.oid')}`;

const extensions = `SELECT 'extension', quote_ident(e.extname), '', NULL, true, NULL, NULL, NULL, NULL FROM pg_extension e`;

/** The query of `readCatalog`; its parameter is the list of hidden schemas. */
export const catalogQuery = (version: number): string =>
  [
    ...relationQueries,
    ...columnQueries(version),
    ...indexQueries(version),
    ...codeQueries(version),
    types,
    extensions,
    ...privilegeQueries,
  ].join('\nUNION ALL\n');

/** The major of a server: 11 for 11.22. */
export const majorOf = async (client: Client): Promise<number> => Math.floor((await serverVersion(client)) / 10_000);

/** How long reading may wait for whoever holds a lock on a view or table that is described; milliseconds. */
const LOCK_TIMEOUT_MS = 60_000;

/**
 * All objects of the application's schemas, except what extensions bring and what is ours.
 *
 * @param client a session in no transaction
 */
export async function readCatalog(client: Client, hidden: readonly string[]): Promise<CatalogObject[]> {
  const query = catalogQuery(await serverVersion(client));
  await client.query('BEGIN READ ONLY');
  try {
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    return (await client.query<CatalogObject>(query, [hidden])).rows;
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
  }
}
