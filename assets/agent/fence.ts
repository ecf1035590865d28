import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Context } from './context';
import { Failure, oneLine } from './errors';
import {
  ensureFenceSchema,
  fenceFunction,
  fenceTrigger,
  notRefusing,
  readFenceable,
  readFenceState,
  unfenceTrigger,
  type FencedTable,
  type FenceState,
} from './fence/objects';

/*
 * `source` here is the end that is left, and `target` the one that takes over: in a rollback the other way round.
 */

/** Closes the target to every write but those of our appliers, which run in replica role. Safe to repeat. */
export async function closeTarget(context: Context, target: Client): Promise<void> {
  await target.query('SET client_min_messages = warning');
  await ensureFenceSchema(target);
  await target.query(fenceFunction({ kind: 'closed' }));
  const tables = await readFenceable(target);
  await putUp(target, tables);
  await context.evidence('target closed', true, 'readFenceable', { tables: tables.length });
}

/** Lets writes through on the target, at once for all tables: the state is in one function. */
export async function openTarget(target: Client): Promise<void> {
  await target.query(fenceFunction({ kind: 'open' }));
}

/**
 * Makes the end that was left wait for its turn, so that writes can be moved back to it. Only while the other end takes
 * the writes: with both of them shut nothing would tell any more which one is to open. Returns whether it waits now.
 */
export async function letWait(left: Client, serving: Client): Promise<boolean> {
  await begin(left);
  try {
    await left.query(`SELECT ${FENCE_LOCK}`);
    const [state, other] = [await readFenceState(left), await readFenceState(serving)];
    const may = state?.kind === 'final' && !hasLeft(other);
    if (may) await left.query(fenceFunction({ kind: 'closed' }));
    await left.query('COMMIT');
    return may || state?.kind === 'closed';
  } catch (error) {
    await left.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Takes the end that waits off the list of those that may be opened: nothing will be moved back to it. */
export async function leaveForGood(left: Client): Promise<void> {
  await begin(left);
  try {
    await left.query(`SELECT ${FENCE_LOCK}`);
    if ((await readFenceState(left))?.kind === 'closed') await left.query(fenceFunction({ kind: 'final' }));
    await left.query('COMMIT');
  } catch (error) {
    await left.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Lets an end that was left for good take writes again, whatever the other one does. False where it was not left. */
export async function openForGood(left: Client): Promise<boolean> {
  await begin(left);
  try {
    await left.query(`SELECT ${FENCE_LOCK}`);
    const kind = (await readFenceState(left))?.kind;
    if (kind === 'final') await left.query(fenceFunction({ kind: 'open' }));
    await left.query('COMMIT');
    return kind === 'final' || kind === 'open';
  } catch (error) {
    await left.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Tables of a closed end that take writes all the same, one line each: without a trigger of ours, or with one altered. */
export async function fenceGaps(client: Client): Promise<string[]> {
  return (await readFenceable(client)).flatMap((table) => notRefusing(table) ?? []);
}

async function putUp(client: Client, tables: readonly FencedTable[]): Promise<void> {
  for (const table of tables) if (!table.fenced) await client.query(fenceTrigger(table));
}

/**
 * How long a transaction below may stand idle; milliseconds. More than the margin before the deadline, so that a moment's
 * standstill of ours does no harm; a host that is frozen or gone keeps nobody waiting for longer.
 */
const IDLE_MS = 4_000;

/** At least, however little of the budget is left. */
const SHORTEST_IDLE_MS = 1_000;

/** Begins a transaction that the server ends, with its locks, when no statement comes: then the state is as it was. */
async function begin(client: Client, leftMs: number = IDLE_MS): Promise<void> {
  const idle = Math.round(Math.max(SHORTEST_IDLE_MS, Math.min(IDLE_MS, leftMs)));
  await client.query(`BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${idle}`);
}

const hasLeft = (state: FenceState | undefined): boolean => state?.kind === 'final' || state?.kind === 'closed';

/** How long putting up, or taking off, one trigger may queue the clients of its table; milliseconds. */
const ARM_TIMEOUT_MS = 200;

/** Rounds over those tables that were busy; the pause puts up what is left. */
const ARM_ROUNDS = 5;

/**
 * Puts the triggers up before writes are stopped, one table at a time and letting everything through, so that the fence
 * can stop all writes by its function alone. Safe to repeat, and to leave behind. Returns the tables that were busy.
 */
export async function armFence(source: Client): Promise<string[]> {
  await source.query('SET client_min_messages = warning');
  await ensureFenceSchema(source);
  if ((await readFenceState(source)) === undefined) await source.query(fenceFunction({ kind: 'open' }));
  await source.query(`SET lock_timeout = ${ARM_TIMEOUT_MS}`);
  try {
    for (let round = 1; ; round += 1) {
      const open = (await readFenceable(source)).filter(({ fenced }) => !fenced);
      if (open.length === 0 || round > ARM_ROUNDS) return open.map((table) => table.sql);
      for (const table of open) await source.query(fenceTrigger(table)).catch(throwUnlessBusy);
      await sleep(50);
    }
  } finally {
    await source.query('SET lock_timeout = 0');
  }
}

const isBusy = (error: unknown): boolean => AGAIN.includes((error as { code?: string }).code);

function throwUnlessBusy(error: unknown): void {
  if (!isBusy(error)) throw error;
}

/** What a fenced source has proven. */
export interface FenceProof {
  readonly tables: number;
  /** When the locks were held, so that no writer was left; on the source's clock. */
  readonly at: string;
  /** After which the source takes writes again by itself; on the source's clock. */
  readonly deadline: string;
  /** Tries until all locks were had at once. */
  readonly attempts: number;
}

/**
 * How long each try may queue the application's writers behind our lock requests; milliseconds. The first ones end
 * before the usual deadlock_timeout of 1 s, so that where writers lock tables in another order than we do, it is we who
 * step back, and no client sees an error. The last, which is repeated, is well above it: at that time a server sends an
 * autovacuum out of the way, which would otherwise keep the fence off until the budget is spent.
 */
const LOCK_TIMEOUTS_MS: readonly number[] = [250, 400, 600, 800, 2_500];

/** The longest of them. */
const LOCK_TIMEOUT_MS = Math.max(...LOCK_TIMEOUTS_MS);

/** Not now, but perhaps in a moment: a lock or the whole statement took too long, or a deadlock was broken. */
const AGAIN: readonly (string | undefined)[] = ['55P03', '57014', '40P01'];

/** No further try: the cause is what was in the way of those before. */
class BudgetSpent extends Failure {
  constructor() {
    super('the time budget is spent');
  }
}

/** Advisory lock, on the source, of whoever changes the state of its fence. */
const FENCE_LOCK = `pg_advisory_xact_lock(4918, hashtext('ibex fence'))`;

/**
 * Stops all writes at the source. First the triggers that stand there refuse every further write, so that a transaction
 * that waits for one of our locks while it holds another ends by itself. Then, in one transaction, holding SHARE ROW
 * EXCLUSIVE on every table proves that no writer is left, prepared transactions included, and triggers are put up where
 * they are missing. The fence opens by itself when the deadline on the source's clock has passed, whatever became of us.
 * Throws Failure when the locks cannot be had before `giveUpAt` (milliseconds since the epoch, here); the source then
 * takes writes again.
 */
export async function fenceSource(source: Client, budgetSeconds: number, giveUpAt: number): Promise<FenceProof> {
  await source.query('SET client_min_messages = warning');
  await ensureFenceSchema(source);
  const { rows } = await source.query(`SELECT (clock_timestamp() + $1 * interval '1 second')::text AS deadline`, [
    budgetSeconds,
  ]);
  const { deadline } = rows[0] as { deadline: string };
  await refuseWrites(source, deadline);
  let inTheWay: unknown;
  for (let attempts = 1; ; attempts += 1) {
    const left = giveUpAt - Date.now();
    const timeout = LOCK_TIMEOUTS_MS[attempts - 1] ?? LOCK_TIMEOUT_MS;
    try {
      if (left <= 0) throw new BudgetSpent();
      const proof = await lockAndFence(source, { kind: 'until', deadline }, Math.min(timeout, left), giveUpAt);
      return { ...proof, deadline, attempts };
    } catch (error) {
      await source.query('ROLLBACK').catch(() => undefined);
      const { code } = error as { code?: string };
      if (AGAIN.includes(code)) inTheWay = error;
      if (!AGAIN.includes(code) || left <= timeout) {
        // What was refused was refused in vain; where this fails the deadline opens it.
        await openSource(source).catch(() => undefined);
        const cause = error instanceof BudgetSpent ? (inTheWay ?? error) : error;
        throw new Failure(`writes could not be stopped in ${attempts} tries: ${oneLine(cause)}; they go on as before`);
      }
      await sleep(50 + 100 * Math.random());
    }
  }
}

/** Has the triggers that stand there refuse writes until the deadline; needs no lock of a table. */
async function refuseWrites(source: Client, deadline: string): Promise<void> {
  await begin(source);
  try {
    await source.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await source.query(`SELECT ${FENCE_LOCK}`);
    if (await isPastNoReturn(source))
      throw new Failure('writes could not be stopped: another run has made its fence final');
    await source.query(fenceFunction({ kind: 'until', deadline }));
    await source.query('COMMIT');
  } catch (error) {
    await source.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Locks every table that can be fenced, in a transaction that has begun: no writer is left while it lasts. */
async function lockTables(source: Client, timeoutMs: number): Promise<FencedTable[]> {
  await source.query(`SET LOCAL lock_timeout = ${Math.max(1, Math.round(timeoutMs))}`);
  await source.query(`SELECT ${FENCE_LOCK}`);
  const tables = await readFenceable(source);
  if (tables.length > 0) {
    // lock_timeout counts for each table anew; writers of the first ones wait for all of them.
    await source.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.round(timeoutMs * 1.5))}`);
    await source.query(`LOCK TABLE ${tables.map(({ sql }) => `ONLY ${sql}`).join(', ')} IN SHARE ROW EXCLUSIVE MODE`);
    await source.query('SET LOCAL statement_timeout = 0');
  }
  return tables;
}

async function lockAndFence(
  source: Client,
  state: FenceState,
  timeoutMs: number,
  giveUpAt: number,
): Promise<{ tables: number; at: string }> {
  await begin(source, giveUpAt - Date.now());
  const tables = await lockTables(source, timeoutMs);
  const { rows } = await source.query('SELECT clock_timestamp()::text AS at');
  if (await isPastNoReturn(source)) throw new Failure('another run has made its fence final');
  // Whoever waited for us has given up, and may have begun to open the source on this very session.
  if (Date.now() > giveUpAt) throw new BudgetSpent();
  await source.query(fenceFunction(state));
  await putUp(source, tables);
  await source.query('COMMIT');
  return { tables: tables.length, at: (rows[0] as { at: string }).at };
}

/** Least time that must be left before the deadline for the fence to be made final; seconds. */
export const FINAL_MARGIN_SECONDS = 2;

/**
 * The point of no return: makes the source's fence final, only while it is still the one with this deadline, and the
 * deadline is ahead by a margin. Before it everything opens by itself; after it every run goes forward. The tables are
 * locked meanwhile, so that nobody writes in between even when this program, its server or the network stands still for
 * longer than the margin. Throws Failure when the time is over.
 *
 * @param look asked under the locks; what it throws keeps the fence from becoming final. @default nothing more is asked
 */
export async function makeFenceFinal(
  source: Client,
  deadline: string,
  look: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await begin(source);
  try {
    const tables = await lockTables(source, LOCK_TIMEOUT_MS);
    const state = await readFenceState(source);
    if (state?.kind !== 'until' || state.deadline !== deadline) {
      throw new Failure('the fence of this cutover does not stand any more: another run has changed it');
    }
    const { rows } = await source.query(
      `SELECT clock_timestamp() + $2 * interval '1 second' < $1::timestamptz AS intime`,
      [deadline, FINAL_MARGIN_SECONDS],
    );
    if (!(rows[0] as { intime: boolean }).intime) {
      throw new Failure(`the time budget is spent (writes are let through again at ${deadline})`);
    }
    if (tables.some((table) => !table.fenced)) {
      throw new Failure('tables were added, or the fence was altered, after writes were stopped');
    }
    await look();
    await source.query(fenceFunction({ kind: 'final' }));
    await source.query('COMMIT');
  } catch (error) {
    await source.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/**
 * Whether writes have been moved away from this end: then there is nothing to replicate from it or to compare any more,
 * and the target may have writes of its own.
 */
export async function isPastNoReturn(source: Client): Promise<boolean> {
  return hasLeft(await readFenceState(source));
}

/**
 * Lets writes through at the source again, at once, unless its fence is final: then nothing is changed and `final` is
 * returned, since the target may take writes already. A run that makes it final at this moment is waited for.
 */
export async function openSource(source: Client): Promise<'open' | 'final'> {
  await source.query('ROLLBACK');
  await begin(source);
  try {
    await source.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await source.query(`SELECT ${FENCE_LOCK}`);
    const state = await readFenceState(source);
    if (state?.kind === 'until') await source.query(fenceFunction({ kind: 'open' }));
    await source.query('COMMIT');
    return hasLeft(state) ? 'final' : 'open';
  } catch (error) {
    await source.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Rounds over those tables from which a fence could not be taken. */
const REMOVE_ROUNDS = 5;

/**
 * Takes the fence off, table by table. For each one the server shuts out readers as well, so each try waits for its lock
 * no longer than clients may be kept. Returns what is left, each with its cause; such a fence lets through as before.
 */
export async function removeFence(client: Client): Promise<string[]> {
  await client.query(`SET lock_timeout = ${ARM_TIMEOUT_MS}`);
  try {
    for (let round = 1; ; round += 1) {
      const left: string[] = [];
      let busy = false;
      for (const table of await readFenceable(client)) {
        if (!table.fenced && !table.altered) continue;
        await client.query(unfenceTrigger(table.sql)).catch((error: unknown) => {
          busy ||= isBusy(error);
          left.push(`${table.sql} (${isBusy(error) ? 'busy' : oneLine(error)})`);
        });
      }
      if (!busy || round === REMOVE_ROUNDS) return left;
      await sleep(50);
    }
  } finally {
    await client.query('SET lock_timeout = 0');
  }
}
