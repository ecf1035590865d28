import type { Client } from 'pg';
import { dropTriggerStatements, IS_LOCKABLE } from '../catalog/lockable';
import { isApplicationSchema, OWN_SCHEMAS, hasSchema } from '../catalog/schemas';
import { ident, literal, qualified, sql } from '../sql';

/** Schema of the fence's function, on either end. */
const SCHEMA = 'ibex';

/** Trigger by which a table refuses writes. */
export const FENCE_TRIGGER = 'ibex_fence';

const FUNCTION = `${ident(SCHEMA)}.fence`;

/** A table that can be fenced. */
export interface FencedTable {
  readonly sql: string;
  /** Whether our trigger stands there as it was made, and fires for applications, and for them only. */
  readonly fenced: boolean;
  /** Whether one of its name stands there that was altered: switched off, on for appliers too, or `strange`. */
  readonly altered: boolean;
  /** Whether one of its name calls another function, or not before each statement of every kind. */
  readonly strange: boolean;
  /** Whether the table is ours to drop triggers of, and to lock. */
  readonly isLockable: boolean;
}

/** pg_trigger.tgtype of BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT. */
const EVERY_STATEMENT = 2 + 4 + 8 + 16 + 32;

/** A trigger that refuses all that the fence's function refuses: no other function, event, column or condition. */
const AS_MADE = sql`
  (t.tgfoid = (SELECT p.oid FROM pg_proc p JOIN pg_namespace f ON f.oid = p.pronamespace
      WHERE f.nspname = ${literal(SCHEMA)} AND p.proname = 'fence' AND p.pronargs = 0)
    AND t.tgtype = ${EVERY_STATEMENT} AND t.tgqual IS NULL AND t.tgattr::text = '')`;

/**
 * Every ordinary, partitioned and leaf table of every application schema, also those that are not migrated: a write
 * that is let through anywhere would be a write that the other end never sees.
 */
export async function readFenceable(client: Client): Promise<FencedTable[]> {
  const { rows } = await client.query(
    sql`
      SELECT n.nspname AS schema, c.relname AS name,
        (t.tgenabled = 'O' AND ${AS_MADE}) IS TRUE AS fenced,
        t.oid IS NOT NULL AND (t.tgenabled = 'O' AND ${AS_MADE}) IS NOT TRUE AS altered,
        t.oid IS NOT NULL AND ${AS_MADE} IS NOT TRUE AS strange,
        ${IS_LOCKABLE} AS "isLockable"
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = ${literal(FENCE_TRIGGER)}
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${isApplicationSchema('n.nspname', '$1')}
        AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY n.nspname, c.relname`,
    [OWN_SCHEMAS],
  );
  return (rows as (Omit<FencedTable, 'sql'> & { schema: string; name: string })[]).map(
    ({ schema, name, ...trigger }) => ({ sql: qualified(schema, name), ...trigger }),
  );
}

/** What is wrong with the fence of one table; undefined when it stands as it was made. */
export function notRefusing({ sql: table, fenced, altered, strange }: FencedTable): string | undefined {
  if (fenced) return undefined;
  if (strange) return `the trigger ${FENCE_TRIGGER} of ${table} is not the fence`;
  return altered ? `the fence of ${table} is disabled` : `${table} has no fence`;
}

/**
 * What the fence of one end does: nothing (`open`); refuse until an instant on this server's clock (`until`); refuse for
 * good, since writes were moved to the other end (`final`); refuse as the end that waits to be opened (`closed`). What
 * each pair of states means is said in standing.ts.
 */
export type FenceState =
  { readonly kind: 'open' | 'final' | 'closed' } | { readonly kind: 'until'; readonly deadline: string };

const MOVED = 'this database is being moved (Ibex cutover); reconnect and try again';
const WAITS = 'this database takes no writes until the Ibex cutover opens it';

/**
 * The statement that sets the fence's state, for all tables at once. The state is part of the function and not a row of
 * a table: an older repeatable-read transaction would not see a changed row, but it calls the newest function.
 */
export function fenceFunction(state: FenceState): string {
  const refuse = (reason: string): string =>
    `RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE = format('cannot execute %s on %I.%I: ', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME) || ${literal(reason)};`;
  const text = {
    open: () => 'RETURN NULL;',
    until: (deadline: string) =>
      `IF clock_timestamp() < timestamptz ${literal(deadline)} THEN ${refuse(MOVED)} END IF; RETURN NULL;`,
    final: () => refuse(MOVED),
    closed: () => refuse(WAITS),
  };
  const deadline = state.kind === 'until' ? state.deadline : '';
  const marker = `${state.kind} ${deadline}`.trim();
  return sql`
    CREATE OR REPLACE FUNCTION ${FUNCTION}() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$/* ${marker} */ BEGIN ${text[state.kind](deadline)} END $function$`;
}

/**
 * The statement that puts the fence on one table, or makes the one that stands there fire as it should: for all but
 * sessions in replica role, as appliers are.
 */
export const fenceTrigger = (table: FencedTable): string =>
  table.altered && !table.strange
    ? `ALTER TABLE ${table.sql} ENABLE TRIGGER ${ident(FENCE_TRIGGER)}`
    : sql`
        ${table.strange ? `${unfenceTrigger(table)};` : ''} CREATE TRIGGER ${ident(FENCE_TRIGGER)} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${table.sql}
        FOR EACH STATEMENT EXECUTE PROCEDURE ${FUNCTION}()`;

/** The statements that take the fence off one table. */
export const unfenceTrigger = ({ sql: table, isLockable }: FencedTable): string =>
  dropTriggerStatements({ table, isLockable }, [FENCE_TRIGGER]).join('; ');

/** Makes the schema of the fence where it is missing. */
export async function ensureFenceSchema(client: Client): Promise<void> {
  if (!(await hasSchema(client, SCHEMA))) await client.query(`CREATE SCHEMA ${ident(SCHEMA)}`);
  // A trigger's function is called by whoever writes; finding it needs no right, but its schema must be usable to none.
  await client.query(`REVOKE ALL ON SCHEMA ${ident(SCHEMA)} FROM PUBLIC`);
}

/** Reads in which state the fence is; undefined when there is none. */
export async function readFenceState(client: Client): Promise<FenceState | undefined> {
  const { rows } = await client.query(
    sql`
      SELECT p.prosrc AS body FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = $1 AND p.proname = 'fence'`,
    [SCHEMA],
  );
  const marker = /^\/\* (open|final|closed|until (.+?)) \*\//.exec(
    (rows[0] as { body: string } | undefined)?.body ?? '',
  );
  if (!marker) return undefined;
  const [, kind, deadline] = marker;
  if (kind === 'open' || kind === 'final' || kind === 'closed') return { kind };
  return { kind: 'until', deadline: deadline ?? '' };
}

/** Whether writes were moved away from the end of this state, whether or not it waits to have them back. */
export const hasLeft = (state: FenceState | undefined): boolean => state?.kind === 'final' || state?.kind === 'closed';
