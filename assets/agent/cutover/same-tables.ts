import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { Context } from '../context';
import { Failure } from '../errors';
import { catalogChanges, keyColumns, readTables, type WatchedTables } from '../sync/catalog-watch';

/** Changed tables that one message names. */
const NAMED = 5;

/**
 * One value for the definition of all tables: their columns, keys and partitions. What VACUUM FULL and ANALYZE change is
 * not in it.
 */
export function fingerprint(tables: WatchedTables): string {
  const lines = Object.entries(tables).map(([name, { oid, columns, key, parents }]) =>
    JSON.stringify([name, oid, columns, keyColumns({ key }), parents]),
  );
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex');
}

/**
 * Throws Failure when a table was made or altered on the source since `before` was read: what is in it would not be moved.
 *
 * @param keep whether the fingerprints of then and now become evidence also when they are the same
 */
export async function sameTables(
  context: Context,
  source: Client,
  before: WatchedTables,
  keep: boolean,
): Promise<void> {
  const now = await readTables(context, source);
  const changes = catalogChanges(before, now, context.direction);
  if (keep || changes.length > 0) {
    await context.evidence('the catalog is the same behind the fence', changes.length === 0, 'readTables', {
      tables: Object.keys(now).length,
      before: fingerprint(before),
      now: fingerprint(now),
      changes: changes.slice(0, NAMED),
    });
  }
  if (changes.length === 0) return;
  const named = `${changes.slice(0, NAMED).join('; ')}${changes.length > NAMED ? ` and ${changes.length - NAMED} more` : ''}`;
  throw new Failure(
    `tables were altered on the ${context.real('source')} after this ${context.phase} began: ${named}; then start ${context.phase} again`,
  );
}
