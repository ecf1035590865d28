import type { Client } from 'pg';
import { blockersOf, isBusy, lockGently, neverFree, pauseAfter, type Blocker } from '../capture/busy';
import { CAPTURE_SCHEMA } from '../capture/names';
import type { Context } from '../context';
import { Failure } from '../errors';
import { ident, qualified, sql } from '../sql';

/** Triggers are ours when their function is; a name pattern would miss some and hit others. */
const OUR_TRIGGERS = sql`
  SELECT t.tgname AS trigger, n.nspname AS schema, c.relname AS name, c.oid::int8 AS oid, p.proname AS function
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = t.tgfoid
  JOIN pg_namespace f ON f.oid = p.pronamespace
  WHERE NOT t.tgisinternal AND f.nspname = $1
  ORDER BY 2, 3, 1`;

/** A trigger of ours on a table of the application. */
export interface OurTrigger {
  readonly trigger: string;
  readonly table: string;
  readonly oid: number;
  /** Its function, which is ours wherever the table is not. */
  readonly function: string;
}

/** Triggers whose function is in one of our schemas. */
export async function ourTriggers(client: Client, schema: string): Promise<OurTrigger[]> {
  const { rows } = await client.query(OUR_TRIGGERS, [schema]);
  return (rows as { trigger: string; schema: string; name: string; oid: string; function: string }[]).map((row) => ({
    trigger: row.trigger,
    table: qualified(row.schema, row.name),
    oid: Number(row.oid),
    function: qualified(schema, row.function),
  }));
}

const isForbidden = (error: unknown): boolean => (error as { code?: string }).code === '42501';

/** Whoever may make triggers of a table may not lock it by that alone, and then goes without: a vacuum is in the way. */
async function lockIfAllowed(client: Client, table: string, lockTimeoutMs: number): Promise<void> {
  await client.query('SAVEPOINT gently');
  try {
    await lockGently(client, table, lockTimeoutMs);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    await client.query(`ROLLBACK TO gently; SET LOCAL lock_timeout = ${Math.round(lockTimeoutMs)}`);
  }
}

/**
 * Takes the triggers of one table off, all under one lock. Only the table's owner may drop a trigger, and TRIGGER was
 * enough to make it: a login that owns the function alone drops that, and the trigger with it, under the same lock.
 */
async function dropTriggers(client: Client, triggers: readonly OurTrigger[], lockTimeoutMs: number): Promise<void> {
  const table = triggers[0]?.table ?? '';
  const drop = async (...statements: readonly string[]): Promise<void> => {
    try {
      await client.query('BEGIN');
      await lockIfAllowed(client, table, lockTimeoutMs);
      for (const statement of statements) await client.query(statement);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  };
  try {
    await drop(...triggers.map(({ trigger }) => `DROP TRIGGER IF EXISTS ${ident(trigger)} ON ${table}`));
  } catch (error) {
    if (!isForbidden(error)) throw error;
    for (const { function: own } of triggers) await drop(`DROP FUNCTION IF EXISTS ${own}() CASCADE`);
  }
}

/**
 * Takes our triggers off, table by table, with a short lock time-out each and growing pauses between the rounds, and then
 * drops the schema, which no table of the application depends on any more. Returns how many triggers went. Throws Failure
 * with who was in the way.
 */
export async function dropCapture(context: Context, client: Client, schema: string = CAPTURE_SCHEMA): Promise<number> {
  const { lockTimeoutMs, attempts } = context.config.capture;
  await client.query('SET client_min_messages = warning');
  let dropped = 0;
  for (let attempt = 1; ; attempt += 1) {
    const busy: { readonly table: string; readonly blockers: Blocker[] }[] = [];
    for (const triggers of byTable(await ourTriggers(client, schema))) {
      const [{ table, oid }] = triggers;
      try {
        await dropTriggers(client, triggers, lockTimeoutMs);
        dropped += triggers.length;
      } catch (error) {
        // In a deadlock with an application, that goes before.
        if (!isBusy(error)) throw error;
        const blockers = await blockersOf(client, oid, true);
        context.log.warn({ relation: table, attempt, blockers }, 'relation is busy');
        busy.push({ table, blockers });
      }
    }
    const left = await ourTriggers(client, schema);
    if (left.length === 0) break;
    if (attempt >= attempts) throw new Failure(stillThere(left, busy, context.config.capture));
    context.progress.report(dropped, dropped + left.length, 'triggers', left[0]?.table ?? '');
    await pauseAfter(attempt);
  }
  await client.query(`DROP SCHEMA IF EXISTS ${ident(schema)} CASCADE`);
  return dropped;
}

function byTable(triggers: readonly OurTrigger[]): [OurTrigger, ...OurTrigger[]][] {
  const tables = new Map<number, [OurTrigger, ...OurTrigger[]]>();
  for (const trigger of triggers) {
    const same = tables.get(trigger.oid);
    if (same) same.push(trigger);
    else tables.set(trigger.oid, [trigger]);
  }
  return [...tables.values()];
}

function stillThere(
  left: readonly OurTrigger[],
  [first]: readonly { readonly table: string; readonly blockers: Blocker[] }[],
  limits: Context['config']['capture'],
): string {
  const count = `${left.length} triggers are left`;
  if (first === undefined) return `${count}, first on ${left[0]?.table}; start cleanup again`;
  return `${count}: ${neverFree(first.table, limits, first.blockers, 'cleanup')}`;
}
