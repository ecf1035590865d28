import type { Client } from 'pg';
import { REPLICA_ROLES } from '../assess/bypass';
import { serverVersion } from '../catalog/relations';
import { isApplicationSchema, OWN_SCHEMAS } from '../catalog/schemas';
import type { Context } from '../context';
import { Failure } from '../errors';
import { literal, qualified, sql } from '../sql';
import { notRefusing, readFenceable } from './objects';

/** After this no further write is tried, since clients wait; milliseconds. The catalog tells of the others. */
const PROBE_MS = 150;

/** How long a write that is tried waits for a lock; milliseconds. */
const LOCK_MS = 50;

/** SQLSTATE by which a write that was let through takes itself back. */
const LET_THROUGH = 'IBX01';

const REFUSED = '25006';

/** A write that was tried as another role. */
interface Tried {
  readonly role: string;
  readonly table: string;
  /** SQLSTATE of its end: `25006` when the fence refused it. */
  readonly code: string;
}

/** What a closed end has proven about those who may write there. */
export interface RefusalProof {
  /** Roles as which a write was tried and refused by the fence. */
  readonly roles: readonly string[];
  readonly tried: number;
  /** Writes that something else than the fence refused, such as a missing right of the schema. */
  readonly otherwise: readonly Tried[];
  /** Pairs of role and schema that are left to the catalog, when the time was over. */
  readonly untried: number;
  /** Tables whose triggers the catalog shows to be the fence, unconditional and enabled. */
  readonly tables: number;
}

/**
 * One table for each role that we may become, and each schema in which it may delete: by a grant, as owner, as a
 * superuser, or by a role that it is a member of. Found from the grants that there are: asking for each role and table
 * would take seconds. No partitioned table, of which old servers do not run the triggers when no partition is concerned,
 * and none with rules.
 */
const WRITERS = (version: number): string => sql`
  WITH RECURSIVE held AS (
    SELECT oid AS role, oid AS through FROM pg_roles WHERE pg_has_role(session_user, oid, '${version >= 160000 ? 'SET' : 'MEMBER'}')
    UNION SELECT held.role, m.roleid FROM held JOIN pg_auth_members m ON m.member = held.through),
  t AS (
    SELECT n.nspname AS schema, c.relname AS name, c.relowner, c.relacl
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND NOT c.relhasrules
      AND ${isApplicationSchema('n.nspname', `ARRAY[${OWN_SCHEMAS.map(literal).join(', ')}]`)}
      AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
  writer AS (
    SELECT role, schema, min(name) AS name FROM (
      SELECT a.grantee AS role, schema, name FROM t, aclexplode(t.relacl) AS a WHERE a.privilege_type = 'DELETE'
      UNION ALL SELECT relowner, schema, name FROM t WHERE relacl IS NULL) AS w GROUP BY 1, 2),
  every AS (SELECT schema, min(name) AS name FROM t GROUP BY 1),
  pair AS (
    SELECT held.role, w.schema, min(w.name) AS name FROM held JOIN writer w ON w.role IN (held.through, 0) GROUP BY 1, 2
    UNION SELECT r.oid, every.schema, every.name FROM pg_roles r JOIN held ON held.role = r.oid, every WHERE r.rolsuper)
  SELECT r.rolname AS role, pair.schema, min(pair.name) AS name,
    row_number() OVER (PARTITION BY r.rolname ORDER BY pair.schema) AS turn
  FROM pair JOIN pg_roles r ON r.oid = pair.role GROUP BY 1, 2 ORDER BY turn, 1`;

/**
 * Tries them all, in one round trip. Each write changes nothing even where it is let through, and is taken back with its
 * role and its lock. The answer is a setting, since a block returns none.
 */
const PROBE = (version: number): string => sql`
  BEGIN; SET LOCAL lock_timeout = ${LOCK_MS}; SET LOCAL ROLE NONE;
  DO $probe$
  DECLARE
    writer record; answer jsonb := '[]'; code text; began timestamptz := clock_timestamp();
  BEGIN
    FOR writer IN ${WRITERS(version)} LOOP
      BEGIN
        IF clock_timestamp() > began + ${PROBE_MS} * interval '1 millisecond' THEN
          code := NULL;
        ELSE
          PERFORM set_config('role', writer.role, true);
          EXECUTE format('DELETE FROM ONLY %I.%I WHERE false', writer.schema, writer.name);
          RAISE EXCEPTION USING ERRCODE = '${LET_THROUGH}';
        END IF;
      EXCEPTION WHEN OTHERS THEN
        code := SQLSTATE;
      END;
      answer := answer || jsonb_build_object('role', writer.role, 'schema', writer.schema, 'name', writer.name, 'code', code);
    END LOOP;
    PERFORM set_config('ibex.probed', answer::text, true);
  END $probe$;
  SELECT current_setting('ibex.probed') AS answer;
  ROLLBACK`;

interface Probed {
  readonly role: string;
  readonly schema: string;
  readonly name: string;
  readonly code: string | null;
}

async function probe(client: Client): Promise<Probed[]> {
  const version = await serverVersion(client);
  try {
    const results = (await client.query(PROBE(version))) as unknown as { rows: { answer?: string }[] }[];
    const answer = results.flatMap(({ rows }) => rows).find((row) => row.answer !== undefined);
    return JSON.parse(answer?.answer ?? '[]') as Probed[];
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/**
 * Proves that an end whose fence stands refuses writes: by a write under each role that we may become, and for all the
 * others by the catalog, which has to show the fence on each table as it was made, and no role that writes past it by a
 * setting. Keeps it as evidence, and throws Failure that names what lets writes through.
 */
export async function proveRefusal(context: Context, client: Client): Promise<RefusalProof> {
  const probed = await probe(client);
  const tables = await readFenceable(client);
  const { rows } = await client.query(REPLICA_ROLES);
  const tried = probed.flatMap(({ role, schema, name, code }) =>
    code === null ? [] : [{ role, table: qualified(schema, name), code }],
  );
  const holes = [
    ...tried
      .filter(({ code }) => code === LET_THROUGH)
      .map(({ role, table }) => `${table} takes the writes of role "${role}"`),
    ...tables.flatMap((table) => notRefusing(table) ?? []),
    ...(rows as { role: string; setting: string }[]).map(({ role, setting }) => `${role} has ${setting} by setting`),
  ];
  const proof: RefusalProof = {
    roles: [...new Set(tried.filter(({ code }) => code === REFUSED).map(({ role }) => role))],
    tried: tried.length,
    otherwise: tried.filter(({ code }) => code !== REFUSED && code !== LET_THROUGH),
    untried: probed.length - tried.length,
    tables: tables.length,
  };
  await context.evidence(
    'writes are refused',
    holes.length === 0,
    'DELETE FROM ONLY … WHERE false as each role that we may become; pg_trigger, pg_db_role_setting',
    { ...proof, holes: holes.slice(0, NAMED) },
  );
  if (holes.length > 0) throw new Failure(`the fence has holes: ${holes.slice(0, NAMED).join('; ')}; mend them`);
  return proof;
}

/** Holes that one message names. */
const NAMED = 10;
