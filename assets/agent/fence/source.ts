import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Failure, oneLine } from '../errors';
import {
  ensureFenceSchema,
  fenceFunction,
  hasLeft,
  readFenceable,
  readFenceState,
  type FencedTable,
  type FenceState,
} from './objects';
import { begin, FENCE_LOCK, isBusy } from './transaction';
import { putUp } from './triggers';

/*
 * `source` here is the end that is left, and `target` the one that takes over: in a rollback the other way round.
 */

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

/** No further try: the cause is what was in the way of those before. */
class BudgetSpent extends Failure {
  constructor() {
    super('the time budget is spent');
  }
}

/**
 * Stops all writes at the source. First the triggers that stand there refuse every further write, so that a transaction
 * that waits for one of our locks while it holds another ends by itself. Then, in one transaction, holding SHARE ROW
 * EXCLUSIVE on every table proves that no writer is left, prepared transactions included, and triggers are put up where
 * they are missing. The fence opens by itself when the deadline on the source's clock has passed, whatever became of us.
 * Throws Failure when the locks cannot be had before `giveUpAt` (of `performance.now`, here; milliseconds); the source then
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
    const left = giveUpAt - performance.now();
    const timeout = LOCK_TIMEOUTS_MS[attempts - 1] ?? LOCK_TIMEOUT_MS;
    try {
      if (left <= 0) throw new BudgetSpent();
      const proof = await lockAndFence(source, { kind: 'until', deadline }, Math.min(timeout, left), giveUpAt);
      return { ...proof, deadline, attempts };
    } catch (error) {
      await source.query('ROLLBACK').catch(() => undefined);
      if (isBusy(error)) inTheWay = error;
      if (!isBusy(error) || left <= timeout) {
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
  await begin(source, giveUpAt - performance.now());
  const tables = await lockTables(source, timeoutMs);
  const { rows } = await source.query('SELECT clock_timestamp()::text AS at');
  if (await isPastNoReturn(source)) throw new Failure('another run has made its fence final');
  // Whoever waited for us has given up, and may have begun to open the source on this very session.
  if (performance.now() > giveUpAt) throw new BudgetSpent();
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
