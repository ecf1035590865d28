import type { Client } from 'pg';
import { oneLine } from '../errors';

/** Runs a statement, in a transaction, that may be refused without harm to it. Returns why it was, or undefined. */
export async function tried(client: Client, statement: string): Promise<string | undefined> {
  await client.query('SAVEPOINT tried');
  try {
    await client.query(statement);
    await client.query('RELEASE SAVEPOINT tried');
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT tried');
    return oneLine(error);
  }
}

/** Runs work in a transaction, which is rolled back when the work throws. */
export async function inTransaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
