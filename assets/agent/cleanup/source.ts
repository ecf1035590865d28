import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { CAPTURE_SCHEMA } from '../capture/names';
import type { Context } from '../context';
import { Failure } from '../errors';
import { ident, qualified, sql } from '../sql';

/** Triggers are ours when their function is; a name pattern would miss some and hit others. */
const OUR_TRIGGERS = sql`
  SELECT t.tgname AS trigger, n.nspname AS schema, c.relname AS name, p.proname AS function
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
  /** Its function, which is ours wherever the table is not. */
  readonly function: string;
}

/** Triggers whose function is in one of our schemas. */
export async function ourTriggers(client: Client, schema: string): Promise<OurTrigger[]> {
  const { rows } = await client.query(OUR_TRIGGERS, [schema]);
  return (rows as { trigger: string; schema: string; name: string; function: string }[]).map((row) => ({
    trigger: row.trigger,
    table: qualified(row.schema, row.name),
    function: qualified(schema, row.function),
  }));
}

/**
 * Takes one trigger off. Only the table's owner may drop a trigger, and TRIGGER was enough to make it: a login that owns
 * the function alone drops that, and the trigger with it, under the same lock.
 */
async function dropTrigger(client: Client, { trigger, table, function: own }: OurTrigger): Promise<void> {
  try {
    await client.query(`DROP TRIGGER IF EXISTS ${ident(trigger)} ON ${table}`);
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error;
    await client.query(`DROP FUNCTION IF EXISTS ${own}() CASCADE`);
  }
}

/**
 * Takes our triggers off, table by table, with a short lock time-out each, and then drops the schema, which no table of
 * the application depends on any more. Returns how many triggers went.
 */
export async function dropCapture(context: Context, client: Client, schema: string = CAPTURE_SCHEMA): Promise<number> {
  const { lockTimeoutMs, attempts } = context.config.capture;
  await client.query(`SET lock_timeout = ${Math.round(lockTimeoutMs)}`);
  await client.query('SET client_min_messages = warning');
  let dropped = 0;
  for (let attempt = 1; ; attempt += 1) {
    const triggers = await ourTriggers(client, schema);
    for (const trigger of triggers) {
      try {
        await dropTrigger(client, trigger);
        dropped += 1;
      } catch (error) {
        // Busy, or in a deadlock with an application, which goes before.
        if (!['55P03', '40P01'].includes((error as { code?: string }).code ?? '')) throw error;
      }
    }
    const left = await ourTriggers(client, schema);
    if (left.length === 0) break;
    if (attempt >= attempts) {
      throw new Failure(
        `${left.length} triggers are on tables that are never free, first ${left[0]?.table}; start cleanup again`,
      );
    }
    context.progress.report(dropped, dropped + left.length, 'triggers', left[0]?.table ?? '');
    await sleep(100 + 400 * Math.random());
  }
  await client.query('SET lock_timeout = 0');
  await client.query(`DROP SCHEMA IF EXISTS ${ident(schema)} CASCADE`);
  return dropped;
}
