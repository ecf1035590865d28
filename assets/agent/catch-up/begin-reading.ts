import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';

/**
 * Begins a transaction on the source that shall read these relations, and locks them before it has a snapshot: a
 * TRUNCATE, or an ALTER TABLE that rewrites, shows every older snapshot an empty table, so that rows would be deleted on
 * the target and not come back. Takes one round trip.
 *
 * @param busy what to do when somebody has one of them for itself; refused, it throws what `isBusy` knows
 */
export async function beginReading(
  source: Client,
  relations: readonly Relation[],
  busy: 'wait' | 'refuse',
): Promise<void> {
  const tables = relations.map(({ sql: name }) => `ONLY ${name}`).join(', ');
  await source.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE ${tables} IN ACCESS SHARE MODE${busy === 'wait' ? '' : ' NOWAIT'}`,
  );
}
