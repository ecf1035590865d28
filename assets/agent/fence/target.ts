import type { Client } from 'pg';
import type { Context } from '../context';
import { ensureFenceSchema, fenceFunction, notRefusing, readFenceable } from './objects';
import { putUp } from './triggers';

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

/** Tables of a closed end that take writes all the same, one line each: without a trigger of ours, or with one altered. */
export async function fenceGaps(client: Client): Promise<string[]> {
  return (await readFenceable(client)).flatMap((table) => notRefusing(table) ?? []);
}
