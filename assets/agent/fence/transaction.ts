import type { Client } from 'pg';

/** Advisory lock, on the source, of whoever changes the state of its fence. */
export const FENCE_LOCK = `pg_advisory_xact_lock(4918, hashtext('ibex fence'))`;

/**
 * How long a transaction on the fence, or one that locks a table of the application, may stand idle; milliseconds. More
 * than the margin before the deadline, so that a moment's standstill of ours does no harm; a host that is frozen or gone
 * keeps nobody waiting for longer.
 */
const IDLE_MS = 4_000;

/** At least, however little of the budget is left. */
const SHORTEST_IDLE_MS = 1_000;

/** Begins a transaction that the server ends, with its locks, when no statement comes: then the state is as it was. */
export async function begin(client: Client, leftMs: number = IDLE_MS): Promise<void> {
  const idle = Math.round(Math.max(SHORTEST_IDLE_MS, Math.min(IDLE_MS, leftMs)));
  await client.query(`BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${idle}`);
}

/** Runs work in such a transaction, which is rolled back when the work throws. */
export async function guarded<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await begin(client);
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** The same, alone of all who change the state of this fence. */
export const withFenceLock = <T>(client: Client, work: () => Promise<T>): Promise<T> =>
  guarded(client, async () => {
    await client.query(`SELECT ${FENCE_LOCK}`);
    return work();
  });

/**
 * Runs statements in such a transaction, and sends them as one message with its end: what they lock is held for no round
 * trip, however far the server is.
 *
 * @param before sends what comes before, and locks nobody out
 */
export async function guardedAtOnce(
  client: Client,
  before: () => Promise<unknown>,
  statements: readonly string[],
): Promise<void> {
  await begin(client);
  try {
    await before();
    await client.query([...statements, 'COMMIT'].join(';\n'));
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Not now, but perhaps in a moment: a lock or the whole statement took too long, or a deadlock was broken. */
const AGAIN: readonly (string | undefined)[] = ['55P03', '57014', '40P01'];

/** Whether the same may succeed in a moment. */
export const isBusy = (error: unknown): boolean => AGAIN.includes((error as { code?: string }).code);
