import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { signalAll } from '../process';
import { DUMP_SESSIONS } from './hold';
import { writersOf } from './writers';

/** The directory with the source's rows. */
export const rowArchive = (stateDirectory: string): string => join(stateDirectory, 'dump');

/** How the path of a dump begins that is not complete; the process that writes it makes it its own. */
export const partialDump = (stateDirectory: string): string => `${rowArchive(stateDirectory)}.partial`;

/** Paths of the dumps that are not complete. */
export const partialDumps = (stateDirectory: string): string[] =>
  readdirSync(stateDirectory)
    .map((name) => join(stateDirectory, name))
    .filter((path) => path.startsWith(partialDump(stateDirectory)));

/**
 * Removes what a killed dump left: its files, its processes, and its sessions on the server that is dumped, which would go
 * on holding a snapshot and a lock on every table. Only pg_dump itself dies with its phase: its jobs, when the brake has
 * stopped them, do not see that it is gone, and hold the room of removed files, too.
 *
 * @param dumped undefined when that server is away
 */
export async function endPartialDump(stateDirectory: string, dumped: Client | undefined): Promise<void> {
  await endDumpers(stateDirectory, dumped);
  for (const path of partialDumps(stateDirectory)) rmSync(path, { recursive: true, force: true });
}

/** The same for processes and sessions alone. */
export async function endDumpers(stateDirectory: string, dumped: Client | undefined): Promise<void> {
  signalAll(writersOf(partialDump(stateDirectory)), 'SIGKILL');
  await dumped?.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = $1 AND usename = current_user AND datname = current_database()`,
    [DUMP_SESSIONS],
  );
}
