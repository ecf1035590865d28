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

/** To be called in the transaction that makes the objects, so that both are there or neither. */
export async function markRestored(target: Client, ...entries: readonly string[]): Promise<void> {
  await target.query('INSERT INTO ibex.restored (entry) SELECT unnest($1::text[])', [entries]);
}

/** Which of these are there already: a killed run came as far, or the connection was lost as they were committed. */
export async function restoredOf(target: Client, entries: readonly string[]): Promise<Set<string>> {
  const { rows } = await target.query('SELECT entry FROM ibex.restored WHERE entry = ANY ($1)', [entries]);
  return new Set((rows as { entry: string }[]).map((row) => row.entry));
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
