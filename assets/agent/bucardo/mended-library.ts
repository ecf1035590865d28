import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { HostConfig } from '../config';
import { Failure, oneLine } from '../errors';

const execute = promisify(execFile);

/** Prints where perl finds Bucardo's module. */
const FIND = 'for (@INC) { next if ref; if (-f "$_/Bucardo.pm") { print "$_/Bucardo.pm"; exit } } exit 1';

/**
 * What Bucardo 5.6.0 does to each value of a key of several columns before it writes it into a DELETE: it doubles the
 * first backslash, as if standard_conforming_strings were off. The DELETE then finds no row: a deleted row stays on the
 * target, and a changed one stops the sync. Its two places are in delete_rows.
 */
const DOUBLED_BACKSLASH = String.raw`s{\\}{\\\\};`;
const PLACES = 2;

/**
 * Takes the doubling of backslashes out of Bucardo's module.
 *
 * Throws Failure when it is not where 5.6.0 has it, since what another version does to keys is not known.
 */
export function mend(module: string, file: string): string {
  const pieces = module.split(DOUBLED_BACKSLASH);
  if (pieces.length !== PLACES + 1) {
    throw new Failure(
      `Bucardo's module ${file} is not that of 5.6.0: it doubles backslashes in keys at ${pieces.length - 1} places, not ${PLACES}; install Debian's bucardo 5.6.0-4`,
    );
  }
  return pieces.join('');
}

/** Writes the mended module to the host's run directory, for PERL5LIB. Returns the directory. */
export async function mendedLibrary(host: HostConfig): Promise<string> {
  const directory = join(host.runDirectory, 'perl');
  mkdirSync(directory, { recursive: true });
  const file = await installedModule(host);
  const mended = join(directory, 'Bucardo.pm');
  const fresh = `${mended}.${process.pid}`;
  writeFileSync(fresh, mend(readFileSync(file, 'latin1'), file), 'latin1');
  // A daemon that starts at this moment reads either the one or the other, and both are whole.
  renameSync(fresh, mended);
  return directory;
}

async function installedModule({ bucardo }: HostConfig): Promise<string> {
  try {
    const { stdout } = await execute('perl', ['-e', FIND], { env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' } });
    return stdout;
  } catch (error) {
    throw new Failure(`Bucardo.pm, which ${dirname(bucardo)} should come with, is not found: ${oneLine(error)}`);
  }
}
