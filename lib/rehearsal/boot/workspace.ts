import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../../../assets/agent/errors';
import { identify, isAlive, type ProcessIdentity } from '../../../assets/agent/process';
import { killAll, until } from '../lab/processes';

const PREFIX = 'ibex-boot-';
const RECORD = 'owner.json';

const temporary = (): string => realpathSync(tmpdir());

/**
 * Makes the directory in which machines are built. What belongs to it can be found again from its name alone, so that
 * it can be removed whole, also by a later run when this one is killed.
 */
export function createWorkspace(): string {
  const owner = identify(process.pid);
  if (!owner) throw new Failure('/proc is not mounted; machines need Linux');
  const directory = mkdtempSync(join(temporary(), PREFIX));
  writeFileSync(join(directory, RECORD), JSON.stringify(owner));
  mkdirSync(join(directory, 'files'));
  return directory;
}

/** The workspace of a running process, if it has one. */
export function workspaceOf(pid: number): string | undefined {
  return workspaces().find((directory) => {
    const owner = ownerOf(directory);
    return owner?.pid === pid && isAlive(owner);
  });
}

const workspaces = (): string[] =>
  readdirSync(temporary())
    .filter((entry) => entry.startsWith(PREFIX))
    .map((name) => join(temporary(), name));

/** Removes what killed runs left behind; never what a living process works with. */
export async function sweepWorkspaces(log: (line: string) => void): Promise<void> {
  for (const directory of workspaces()) {
    const owner = ownerOf(directory);
    if (lstatSync(directory).uid !== process.getuid?.() || (owner && isAlive(owner))) continue;
    log(`removing ${directory}, left behind by a run that was killed`);
    await removeWorkspace(directory);
  }
}

function ownerOf(directory: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, RECORD), 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

/** Ends every machine of the workspace, frees its loop devices and removes it. May be called again. */
export async function removeWorkspace(directory: string): Promise<void> {
  await killAll(() => machineProcesses(directory));
  for (const image of images(directory)) {
    // The kernel lets go of a volume when it has taken the dead machine's mounts apart.
    if (!(await until(() => detach(image), 15_000, 100))) throw new Failure(`loop device of ${image} stays busy`);
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

const images = (directory: string): string[] => {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.img'))
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
};

/** Detaches every loop device of the file. @returns whether none is left */
function detach(image: string): boolean {
  for (const device of loopDevices(image)) {
    try {
      execFileSync('losetup', ['--detach', device], { stdio: 'ignore' });
    } catch {
      return false;
    }
  }
  return loopDevices(image).length === 0;
}

const loopDevices = (image: string): string[] =>
  execFileSync('losetup', ['--associated', image, '--noheadings', '--output', 'NAME'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** systemd-nspawn of each machine below the directory, and the machine's first process, with which all others end. */
export function machineProcesses(directory: string): number[] {
  const containers = processIds().filter((pid) => {
    const command = contents(`/proc/${pid}/cmdline`).split('\0');
    return (
      command[0]?.endsWith('systemd-nspawn') === true &&
      command.some((word) => word === directory || word.startsWith(`${directory}/`))
    );
  });
  return [...containers, ...containers.flatMap(childrenOf)].filter((pid) => identify(pid) !== undefined);
}

/** Children of a process. */
export const childrenOf = (pid: number): number[] =>
  contents(`/proc/${pid}/task/${pid}/children`)
    .split(' ')
    .filter((word) => word !== '')
    .map(Number);

const processIds = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function contents(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
