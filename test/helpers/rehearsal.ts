import type { Client } from 'pg';
import { Rehearsal, type RehearsalOptions } from '../../lib/rehearsal/rehearsal';

/** Opens a small rehearsal 11 → 17 of the default migration, with what a scenario wants otherwise. */
export const openRehearsal = (options: Partial<RehearsalOptions> = {}): Promise<Rehearsal> =>
  Rehearsal.open({
    migration: 'heroku-to-aurora',
    sourceVersion: 11,
    targetVersion: 17,
    scale: 1,
    rate: 60,
    connections: 4,
    log: () => undefined,
    ...options,
  });

/** Runs work with a session of the migration's login on one end. */
export async function withSession<T>(
  rehearsal: Rehearsal,
  end: 'source' | 'target',
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await rehearsal.lab.connect(end);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
