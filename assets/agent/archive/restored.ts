import type { Client } from 'pg';
import { sql } from '../sql';
import type { TocEntry } from './toc';

/** Marks that the whole pre-data section is on the target. */
export const PRE_DATA = 'pre-data';

const TABLES = [
  'CREATE SCHEMA IF NOT EXISTS ibex',
  sql`
    CREATE TABLE IF NOT EXISTS ibex.restored (
      entry text PRIMARY KEY,
      restored_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
];

/** Makes the table, on the target, of the entries that have been restored there; inside a transaction if need be. */
export async function prepareRestored(target: Client): Promise<void> {
  await target.query('SET client_min_messages = warning');
  for (const table of TABLES) await target.query(table);
}

/** To be called in the transaction that makes the object, so that both are there or neither. */
export async function markRestored(target: Client, entry: string): Promise<void> {
  await target.query('INSERT INTO ibex.restored (entry) VALUES ($1)', [entry]);
}

/** Whether it is there already: a killed run came as far, or the connection was lost as it was committed. */
export async function isRestored(target: Client, entry: string): Promise<boolean> {
  const { rows } = await target.query('SELECT FROM ibex.restored WHERE entry = $1', [entry]);
  return rows.length > 0;
}

/** Which entries are on the target. Empty when nothing was ever restored there. */
export async function restoredEntries(target: Client): Promise<Set<string>> {
  const found = await target.query(`SELECT to_regclass('ibex.restored') IS NOT NULL AS there`);
  if (!(found.rows[0] as { there: boolean }).there) return new Set();
  const { rows } = await target.query('SELECT entry FROM ibex.restored');
  return new Set((rows as { entry: string }[]).map((row) => row.entry));
}

/** Those that are not on the target yet, in the archive's order. */
export async function unrestored(target: Client, entries: readonly TocEntry[]): Promise<TocEntry[]> {
  const known = await restoredEntries(target);
  return entries.filter((entry) => !known.has(entry.key));
}
