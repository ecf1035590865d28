import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Context } from './context';
import { Failure, oneLine } from './errors';
import {
  ensureFenceSchema,
  fenceFunction,
  fenceTrigger,
  readFenceable,
  readFenceState,
  unfenceTrigger,
  type FencedTable,
  type FenceState,
} from './fence/objects';

const SOURCE_REASON = 'this database is being moved (Ibex cutover); reconnect and try again';
const TARGET_REASON = 'this database takes no writes until the Ibex cutover opens it';

/** Closes the target to every write but those of our appliers, which run in replica role. Safe to repeat. */
export async function closeTarget(context: Context, target: Client): Promise<void> {
  await target.query('SET client_min_messages = warning');
  await ensureFenceSchema(target);
  await target.query(fenceFunction({ kind: 'closed' }, TARGET_REASON));
  const tables = await readFenceable(target);
  for (const table of tables) if (!table.fenced) await target.query(fenceTrigger(table.sql));
  await context.evidence('target closed', true, 'readFenceable', { tables: tables.length });
}

/** Lets writes through on the target, at once for all tables: the state is in one function. */
export async function openTarget(target: Client): Promise<void> {
  await target.query(fenceFunction({ kind: 'open' }, TARGET_REASON));
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

/** Advisory lock, on the source, of whoever changes the state of its fence. */
const FENCE_LOCK = `pg_advisory_xact_lock(4918, hashtext('ibex fence'))`;

/**
 * Stops all writes at the source, in one transaction: holding SHARE ROW EXCLUSIVE on every table proves that no writer
 * is left, prepared transactions included; then triggers refuse the next ones. The fence opens by itself when the
 * deadline on the source's clock has passed, whatever became of us. Throws Failure when the locks cannot be had before
 * `giveUpAt` (milliseconds since the epoch, here).
 */
export async function fenceSource(source: Client, budgetSeconds: number, giveUpAt: number): Promise<FenceProof> {
  await source.query('SET client_min_messages = warning');
  await ensureFenceSchema(source);
  const { rows } = await source.query(`SELECT (clock_timestamp() + $1 * interval '1 second')::text AS deadline`, [
    budgetSeconds,
  ]);
  const { deadline } = rows[0] as { deadline: string };
  let inTheWay: unknown;
  for (let attempts = 1; ; attempts += 1) {
    const left = giveUpAt - Date.now();
    const timeout = LOCK_TIMEOUTS_MS[attempts - 1] ?? LOCK_TIMEOUT_MS;
    try {
      if (left <= 0) throw new Failure('the time budget is spent');
      const proof = await lockAndFence(source, { kind: 'until', deadline }, Math.min(timeout, left), giveUpAt);
      return { ...proof, deadline, attempts };
    } catch (error) {
      await source.query('ROLLBACK');
      const { code } = error as { code?: string };
      if (AGAIN.includes(code)) inTheWay = error;
      if (!AGAIN.includes(code) || left <= timeout) {
        throw new Failure(
          `the source could not be fenced in ${attempts} tries: ${oneLine(inTheWay ?? error)}; it takes writes as before`,
        );
      }
      await sleep(50 + 100 * Math.random());
    }
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
  await source.query('BEGIN');
  const tables = await lockTables(source, timeoutMs);
  const { rows } = await source.query('SELECT clock_timestamp()::text AS at');
  if (await isPastNoReturn(source)) throw new Failure('another run has made its fence final');
  // Whoever waited for us has given up, and may have begun to open the source on this very session.
  if (Date.now() > giveUpAt) throw new Failure('the time budget is spent');
  await source.query(fenceFunction(state, SOURCE_REASON));
  for (const table of tables) if (!table.fenced) await source.query(fenceTrigger(table.sql));
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
 */
export async function makeFenceFinal(source: Client, deadline: string): Promise<void> {
  await source.query('BEGIN');
  try {
    await lockTables(source, LOCK_TIMEOUT_MS);
    const state = await readFenceState(source);
    if (state?.kind !== 'until' || state.deadline !== deadline) {
      throw new Failure('the fence of this cutover does not stand any more: another run has changed it');
    }
    const { rows } = await source.query(
      `SELECT clock_timestamp() + $2 * interval '1 second' < $1::timestamptz AS intime`,
      [deadline, FINAL_MARGIN_SECONDS],
    );
    if (!(rows[0] as { intime: boolean }).intime) {
      throw new Failure(`the time budget is spent (the source opens by itself at ${deadline})`);
    }
    await source.query(fenceFunction({ kind: 'closed' }, SOURCE_REASON));
    await source.query('COMMIT');
  } catch (error) {
    await source.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/**
 * Whether the point of no return is behind us: then there is nothing to replicate or to compare any more, and the
 * target may have writes of its own.
 */
export async function isPastNoReturn(source: Client): Promise<boolean> {
  return (await readFenceState(source))?.kind === 'closed';
}

/**
 * Lets writes through at the source again, at once, unless its fence is final: then nothing is changed and `final` is
 * returned, since the target may take writes already. A run that makes it final at this moment is waited for.
 */
export async function openSource(source: Client): Promise<'open' | 'final'> {
  await source.query('ROLLBACK');
  await source.query('BEGIN');
  try {
    await source.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await source.query(`SELECT ${FENCE_LOCK}`);
    const state = await readFenceState(source);
    if (state?.kind === 'until') await source.query(fenceFunction({ kind: 'open' }, SOURCE_REASON));
    await source.query('COMMIT');
    return state?.kind === 'closed' ? 'final' : 'open';
  } catch (error) {
    await source.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Takes the fence off, table by table; each waits briefly for a lock, so it may be called while clients write. */
export async function removeFence(client: Client): Promise<string[]> {
  const busy: string[] = [];
  await client.query(`SET lock_timeout = '2s'`);
  for (const table of await readFenceable(client)) {
    if (!table.fenced) continue;
    try {
      await client.query(unfenceTrigger(table.sql));
    } catch {
      busy.push(table.sql);
    }
  }
  await client.query('SET lock_timeout = 0');
  return busy;
}
