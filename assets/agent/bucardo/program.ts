import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { HostConfig } from '../config';
import { Failure, oneLine } from '../errors';
import { bucardoServiceFile } from '../libpq';
import { mendedLibrary } from './mended-library';
import { BUCARDO_DATABASE, BUCARDO_SUPERUSER } from './names';

const execute = promisify(execFile);

/** Longest time that one call of the program may take; milliseconds. */
const TIMEOUT_MS = 120_000;

/** Where Bucardo keeps its process ids. */
export const pidDirectory = (host: HostConfig): string => join(host.runDirectory, 'bucardo');

/** Where Bucardo writes its log. */
export const logDirectory = (host: HostConfig): string => join(host.stateDirectory, 'log', 'bucardo');

/** Stands in the titles of all processes of this host's Bucardo, so that they are told from any other Bucardo's. */
export const processTag = (host: HostConfig): string =>
  `ibex-${createHash('sha256').update(host.runDirectory).digest('hex').slice(0, 12)}`;

/** Runs the bucardo program against the host's PostgreSQL. Throws Failure with its own last words. */
export async function runBucardo(
  host: HostConfig,
  args: readonly string[],
  database = BUCARDO_DATABASE,
): Promise<string> {
  mkdirSync(pidDirectory(host), { recursive: true });
  mkdirSync(logDirectory(host), { recursive: true });
  const user = database === BUCARDO_DATABASE ? BUCARDO_SUPERUSER : host.postgres.user;
  const rc = join(host.runDirectory, 'bucardorc');
  writeFileSync(
    rc,
    `dbhost = ${host.postgres.host}\ndbport = ${host.postgres.port}\ndbuser = ${user}\ndbname = ${database}\n`,
  );
  const env = {
    PATH: `${host.clientTools}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
    HOME: process.env['HOME'] ?? host.runDirectory,
    PGSERVICEFILE: bucardoServiceFile(host.runDirectory),
    PGBINDIR: host.clientTools,
    LC_ALL: 'C.UTF-8',
    PERL5LIB: await mendedLibrary(host),
  };
  try {
    const { stdout } = await execute(host.bucardo, [`--bucardorc=${rc}`, ...args], {
      env,
      cwd: host.runDirectory,
      timeout: TIMEOUT_MS,
    });
    return stdout;
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    const words = oneLine((stderr ?? '').trim() || (stdout ?? '').trim() || (error as Error).message);
    throw new Failure(`bucardo ${args[0]} failed: ${words.slice(-600)}`);
  }
}
