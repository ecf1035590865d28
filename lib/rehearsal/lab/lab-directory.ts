import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Failure, oneLine } from '../../../assets/agent/errors';
import { identify, isAlive, type ProcessIdentity } from '../../../assets/agent/process';
import { killAll, processesOf, signal, until } from './processes';

const PREFIX = 'ibex-rehearsal-';
const RECORD = 'lab.json';
/** sun_path holds 108 bytes; the rest is what follows the lab's directory in the longest socket's name. */
const LONGEST_PATH = 108 - '/target/socket/.s.PGSQL.65535'.length - 1;

/** As the kernel shows it in /proc, where processes are looked for. */
const temporary = (): string => realpathSync(tmpdir());

/** What a lab's directory says about it, so that a later run can tell whether anybody still needs it. */
interface LabRecord {
  readonly owner: ProcessIdentity;
  readonly ports: readonly number[];
}

/** Makes the directory of a new lab, under the system's temporary directory, with its record in it. */
export function createLabDirectory(ports: readonly number[]): string {
  const owner = identify(process.pid);
  if (!owner) throw new Failure('/proc is not mounted; the rehearsal needs Linux');
  const fresh = mkdtempSync(join(temporary(), '.ibex-new-'));
  const directory = join(temporary(), PREFIX + basename(fresh).slice(-6));
  if (Buffer.byteLength(directory) > LONGEST_PATH) {
    rmSync(fresh, { recursive: true });
    throw new Failure(
      `${directory} is too long for Unix sockets (${LONGEST_PATH} bytes at most); set TMPDIR to a shorter directory`,
    );
  }
  writeFileSync(join(fresh, RECORD), JSON.stringify({ owner, ports } satisfies LabRecord), { mode: 0o600 });
  // Other accounts pass through to what they own, and list nothing. Named last: nobody ever sees it without its record.
  chmodSync(fresh, 0o711);
  renameSync(fresh, directory);
  return directory;
}

function readRecord(directory: string): LabRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, RECORD), 'utf8')) as LabRecord;
  } catch {
    return undefined;
  }
}

/** Lab directories of this user, as only those may be trusted: anybody may write in the temporary directory. */
export function labDirectories(): string[] {
  return readdirSync(temporary())
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(temporary(), name))
    .filter((path) => {
      const status = lstatSync(path, { throwIfNoEntry: false });
      return status?.isDirectory() === true && status.uid === process.getuid?.();
    });
}

/** Ports that any lab on this machine was given, whether its servers are up or not. */
export const recordedPorts = (): Set<number> =>
  new Set(labDirectories().flatMap((directory) => readRecord(directory)?.ports ?? []));

/**
 * Ends every process that works for a lab and removes its directory. Servers may shut down by themselves first, since
 * one that is killed leaves its System V shared memory behind.
 */
export async function removeLabDirectory(directory: string): Promise<void> {
  for (const server of postmasters(directory)) signal(server, 'SIGQUIT');
  await until(() => postmasters(directory).length === 0, 5000);
  await killAll(() => processesOf(directory));
  for (const file of postmasterFiles(directory)) removeSharedMemory(file);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

const postmasterFiles = (directory: string): string[] =>
  ['source', 'target', 'host/postgres'].map((server) => join(directory, server, 'data', 'postmaster.pid'));

function postmasters(directory: string): number[] {
  const known = new Set(processesOf(directory));
  return postmasterFiles(directory).flatMap((file) => {
    const pid = Number(lines(file)[0]);
    return known.has(pid) ? [pid] : [];
  });
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Line 7 of postmaster.pid: key and number of the segment that the next start would have removed. */
function removeSharedMemory(file: string): void {
  const segment = lines(file)[6]?.trim().split(/\s+/)[1];
  if (!segment) return;
  try {
    execFileSync('ipcrm', ['-m', segment], { stdio: 'ignore' });
  } catch {
    // Gone already: the server removed it when it was asked to end.
  }
}

/** Removes what killed rehearsals left behind; never a lab whose owner lives. */
export async function sweepStale(log: (line: string) => void): Promise<void> {
  for (const directory of labDirectories()) {
    const record = readRecord(directory);
    if (record && isAlive(record.owner)) continue;
    log(
      `removing ${directory}, left behind by a rehearsal that was killed (process ${record?.owner.pid ?? 'unknown'})`,
    );
    try {
      await removeLabDirectory(directory);
    } catch (error) {
      log(`${directory} could not be removed: ${oneLine(error)}`);
    }
  }
}
