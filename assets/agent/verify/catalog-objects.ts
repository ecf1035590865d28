import type { Client } from 'pg';
import { blockersOf, inTheWay, isBusy, pauseAfter } from '../capture/busy';
import { serverVersion } from '../catalog/relations';
import type { End } from '../endpoints';
import { Failure } from '../errors';
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

/** How long reading may wait, in many tries, for whoever holds a lock on a view or table that is described; milliseconds. */
const PATIENCE_MS = 60_000;

/** How long one try may wait, in which it keeps others from all that it has described so far; milliseconds. */
const LOCK_TIMEOUT_MS = 500;

/** What nobody else may look at, or will not be let to. */
const LOCKED = sql`
  SELECT DISTINCT c.oid::int8::float8 AS oid, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND ${SCHEMA} ORDER BY 2`;

/**
 * All objects of the application's schemas, except what extensions bring and what is ours. Throws Failure, with the
 * relations that are locked and by whom, when they stay so.
 *
 * @param client a session in no transaction
 * @param end which it is of, for the error
 * @param patienceMs how long locks are waited for; milliseconds. @default a minute
 */
export async function readCatalog(
  client: Client,
  hidden: readonly string[],
  end: End,
  patienceMs = PATIENCE_MS,
): Promise<CatalogObject[]> {
  const query = catalogQuery(await serverVersion(client));
  const deadline = performance.now() + patienceMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(client, query, hidden);
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() > deadline) {
        throw new Failure(
          `the catalog of the ${end} could not be read in ${patienceMs / 1000} s; locked: ${await whatIsLocked(client, hidden)}; end that, or wait, and start again`,
        );
      }
    }
    await pauseAfter(attempt);
  }
}

async function whatIsLocked(client: Client, hidden: readonly string[]): Promise<string> {
  const { rows } = await client.query<{ oid: number; name: string }>(LOCKED, [hidden]);
  const words: string[] = [];
  for (const { oid, name } of rows) words.push(`${name} by ${inTheWay(await blockersOf(client, oid, true))}`);
  return words.join('; ') || 'nothing at this moment';
}

async function readOnce(client: Client, query: string, hidden: readonly string[]): Promise<CatalogObject[]> {
  await client.query('BEGIN READ ONLY');
  try {
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    return (await client.query<CatalogObject>(query, [hidden])).rows;
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
  }
}
