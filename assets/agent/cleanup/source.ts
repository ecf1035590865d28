import type { Client } from 'pg';
import {
  blockersOf,
  EVICTION_MS,
  inTheWay,
  longHolders,
  neverFree,
  pauseAfter,
  waitGently,
  type Blocker,
} from '../capture/busy';
import { CAPTURE_SCHEMA } from '../capture/names';
import { isGone } from '../catalog/gone';
import { dropTriggerStatements, IS_LOCKABLE } from '../catalog/lockable';
import type { Context } from '../context';
import { Failure } from '../errors';
import { guardedAtOnce, isBusy } from '../fence/transaction';
import { ident, qualified, sql } from '../sql';

/** How tables are waited for that are busy. */
export interface Limits {
  /** How long each is waited for; milliseconds. */
  readonly lockTimeoutMs: number;
  /** How often. */
  readonly attempts: number;
  /** After this time the first one that is busy is the last; milliseconds. @default none is */
  readonly withinMs?: number;
}

/** Triggers are ours when their function is; a name pattern would miss some and hit others. */
const OUR_TRIGGERS = sql`
  SELECT t.tgname AS trigger, n.nspname AS schema, c.relname AS name, c.oid::int8 AS oid, p.proname AS function,
    ${IS_LOCKABLE} AS "isLockable"
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
  /** Whether the table is ours to drop triggers of, and to lock. */
  readonly isLockable: boolean;
}

/** All of one table. */
type OneTable = [OurTrigger, ...OurTrigger[]];

/** Triggers whose function is in one of our schemas. */
export async function ourTriggers(client: Client, schema: string): Promise<OurTrigger[]> {
  const { rows } = await client.query(OUR_TRIGGERS, [schema]);
  return (rows as (Omit<OurTrigger, 'table' | 'oid'> & { schema: string; name: string; oid: string })[]).map((row) => ({
    trigger: row.trigger,
    table: qualified(row.schema, row.name),
    oid: Number(row.oid),
    function: qualified(schema, row.function),
    isLockable: row.isLockable,
  }));
}

const isForbidden = (error: unknown): boolean => (error as { code?: string }).code === '42501';

/** Whoever may make triggers of a table may not lock it by that alone, and then goes without: a vacuum is in the way. */
async function waitIfAllowed(client: Client, table: string, lockTimeoutMs: number): Promise<void> {
  await client.query('SAVEPOINT asking');
  try {
    await waitGently(client, table, lockTimeoutMs);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    await client.query(`ROLLBACK TO asking; SET LOCAL lock_timeout = ${Math.round(lockTimeoutMs)}`);
  }
}

/**
 * Runs statements that take triggers off, in a transaction which nobody waits for much longer than for its first lock.
 *
 * @param limit a statement that limits their time. @default none
 */
async function drop(
  client: Client,
  table: string,
  lockTimeoutMs: number,
  statements: readonly string[],
  limit?: string,
): Promise<void> {
  const before = async (): Promise<void> => {
    await waitIfAllowed(client, table, lockTimeoutMs);
    if (limit !== undefined) await client.query(limit);
  };
  await guardedAtOnce(client, before, statements);
}

const dropFunctions = (functions: readonly string[]): string =>
  `DROP FUNCTION IF EXISTS ${functions.map((name) => `${name}()`).join(', ')} CASCADE`;

/**
 * Takes the triggers of one table off, all under one lock. Only the table's owner may drop a trigger, and TRIGGER was
 * enough to make it: a login that owns the function alone drops that, and the trigger with it, under the same lock.
 * Returns which functions it had to leave to `dropShared`.
 *
 * @param shared functions of several tables
 */
async function dropTriggers(
  client: Client,
  triggers: OneTable,
  shared: ReadonlySet<string>,
  lockTimeoutMs: number,
): Promise<readonly string[]> {
  const [{ table, isLockable }] = triggers;
  const names = triggers.map(({ trigger }) => trigger);
  try {
    await drop(client, table, lockTimeoutMs, dropTriggerStatements({ table, isLockable }, names));
    return [];
  } catch (error) {
    if (!isForbidden(error)) throw error;
  }
  const functions = [...new Set(triggers.map((trigger) => trigger.function))];
  const own = functions.filter((name) => !shared.has(name));
  if (own.length > 0) await drop(client, table, lockTimeoutMs, [dropFunctions(own)]);
  return functions.filter((name) => shared.has(name));
}

/**
 * Drops a function that stands on several tables of which we own none, and locks them all: the fence's, and the one that
 * an older Ibex had for truncations. The first of them is held until the last is free, so the time of all together is
 * limited.
 */
async function dropShared(client: Client, triggers: readonly OurTrigger[], lockTimeoutMs: number): Promise<void> {
  const [{ table, function: name }] = triggers as [OurTrigger];
  const limit = `SET LOCAL statement_timeout = ${Math.round(lockTimeoutMs) + triggers.length}`;
  await drop(client, table, lockTimeoutMs, [dropFunctions([name])], limit);
}

/** Functions that stand on several tables. */
function sharedFunctions(triggers: readonly OurTrigger[]): Set<string> {
  const tables = new Map(triggers.map(({ function: name, oid }) => [name, oid]));
  return new Set(triggers.flatMap(({ function: name, oid }) => (tables.get(name) === oid ? [] : [name])));
}

/**
 * Takes our triggers off, table by table, and then drops the schema, which no table of the application depends on any more.
 * Returns how many triggers went. Throws Failure with who was in the way.
 *
 * @param limits how long, and how often, each table is waited for. @default those of the settings
 * @param phase to be started again when something is left. @default cleanup
 */
export async function dropCapture(
  context: Context,
  client: Client,
  schema: string = CAPTURE_SCHEMA,
  limits: Limits = context.config.capture,
  phase = 'cleanup',
): Promise<number> {
  const end = performance.now() + (limits.withinMs ?? Infinity);
  let triggers = 0;
  for (let attempt = 1; ; attempt += 1) {
    const withinMs = Math.max(0, end - performance.now());
    triggers += await takeOff(context, client, schema, phase, () => true, { ...limits, withinMs });
    try {
      await dropSchema(client, schema, limits);
      return triggers;
    } catch (error) {
      if (!isBusy(error)) throw error;
      const blockers = await usersOf(client, schema);
      if (attempt >= limits.attempts || performance.now() > end)
        throw new Failure(
          `schema ${ident(schema)} was in use at each of ${attempt} tries; in the way: ${inTheWay(blockers)}; end that, or wait, and start ${phase} again`,
        );
      context.log.warn({ schema, attempt, blockers }, 'schema is in use');
    }
    await pauseAfter(attempt);
  }
}

/** Who holds a relation of a schema, the longest transaction first. */
async function usersOf(client: Client, schema: string): Promise<Blocker[]> {
  const { rows } = await client.query(
    'SELECT c.oid::int8::float8 AS oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1',
    [schema],
  );
  return blockersOf(
    client,
    (rows as { oid: number }[]).map(({ oid }) => oid),
    true,
  );
}

/** Not without limit: a trigger that was made since has a table of the application locked with it. */
async function dropSchema(client: Client, schema: string, { lockTimeoutMs }: Limits): Promise<void> {
  const limit = `SET LOCAL lock_timeout = ${Math.round(Math.max(lockTimeoutMs, EVICTION_MS))}`;
  await guardedAtOnce(client, () => client.query(limit), [`DROP SCHEMA IF EXISTS ${ident(schema)} CASCADE`]);
}

/**
 * Takes triggers off with a short lock time-out for each table, and growing pauses between the rounds. Returns how many
 * went. Throws Failure with who was in the way.
 *
 * @param phase to be started again when some are left
 * @param isMeant whether a trigger is to go. @default all are
 * @param limits how long, and how often, each table is waited for. @default those of the settings
 */
export async function takeOff(
  context: Context,
  client: Client,
  schema: string,
  phase: string,
  isMeant: (trigger: OurTrigger) => boolean = () => true,
  limits: Limits = context.config.capture,
): Promise<number> {
  const { lockTimeoutMs, attempts, withinMs = Infinity } = limits;
  const end = performance.now() + withinMs;
  await client.query('SET client_min_messages = warning');
  let all: OurTrigger[] = [];
  const find = async (): Promise<OurTrigger[]> => (all = await ourTriggers(client, schema)).filter(isMeant);
  const found = await find();
  for (let attempt = 1, left = found; ; attempt += 1) {
    const busy: { readonly table: string; readonly blockers: Blocker[] }[] = [];
    const isOver = (): boolean => busy.length > 0 && performance.now() > end;
    const unlessBusy = async <T>(tables: readonly OurTrigger[], work: Promise<T>): Promise<T | undefined> => {
      try {
        return await work;
      } catch (error) {
        if (isGone(error)) return undefined;
        // Where an application waits for us as we do for it, a time-out below the server's deadlock_timeout has us step back.
        if (!isBusy(error)) throw error;
        for (const [{ table, oid }] of byTable(tables)) {
          const blockers = await blockersOf(client, oid, true);
          context.log.warn({ relation: table, attempt, blockers }, 'relation is busy');
          busy.push({ table, blockers });
        }
        return undefined;
      }
    };
    const shared = sharedFunctions(all);
    const postponed = new Set<string>();
    for (const triggers of await heldLast(client, byTable(left), lockTimeoutMs)) {
      if (isOver()) break;
      const work = dropTriggers(client, triggers, shared, lockTimeoutMs);
      for (const name of (await unlessBusy(triggers, work)) ?? []) postponed.add(name);
    }
    left = await find();
    if (postponed.size > 0) {
      for (const name of postponed) {
        const triggers = left.filter((trigger) => trigger.function === name);
        // The function goes with every trigger that calls it.
        const isWhole = all.every((trigger) => trigger.function !== name || isMeant(trigger));
        if (triggers.length > 0 && isWhole) await unlessBusy(triggers, dropShared(client, triggers, lockTimeoutMs));
      }
      left = await find();
    }
    if (left.length === 0) break;
    if (attempt >= attempts || isOver()) {
      throw new Failure(stillThere(left, busy, { lockTimeoutMs, attempts: attempt }, phase));
    }
    context.progress.report(found.length - left.length, found.length, 'triggers', left[0]?.table ?? '');
    await pauseAfter(attempt);
  }
  return found.length;
}

/** Puts the tables last that somebody holds for long, the longest of all at the end: waiting for them holds up no other. */
async function heldLast(client: Client, tables: readonly OneTable[], lockTimeoutMs: number): Promise<OneTable[]> {
  const oids = tables.map(([{ oid }]) => oid);
  const holders = await longHolders(client, oids, lockTimeoutMs, true);
  // The oldest come first, and of several of a table the oldest counts.
  const places = new Map(holders.reverse().map(({ oid }, place) => [oid, place + 1]));
  const placeOf = ([{ oid }]: OneTable): number => places.get(oid) ?? 0;
  return [...tables].sort((a, b) => placeOf(a) - placeOf(b));
}

function byTable(triggers: readonly OurTrigger[]): OneTable[] {
  const tables = new Map<number, OneTable>();
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
  limits: Limits,
  phase: string,
): string {
  const count = `${left.length} triggers are left`;
  if (first === undefined) return `${count}, first on ${left[0]?.table}; start ${phase} again`;
  return `${count}: ${neverFree(first.table, limits, first.blockers, phase)}`;
}
