import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../../assets/agent/errors';
import { identify } from '../../../assets/agent/process';

/** Environment variable that marks every process of a lab; its value is the lab's directory. */
export const LAB_VARIABLE = 'IBEX_REHEARSAL';

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const link = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

const entries = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

/** O_WRONLY or O_RDWR, in the octal flags of /proc/<pid>/fdinfo. */
const writes = (info: string | undefined): boolean => /^flags:\s+[0-7]*[12]$/m.test(info ?? '');

function belongsTo(pid: number, directory: string): boolean {
  const environment = read(`/proc/${pid}/environ`)?.split('\0') ?? [];
  if (environment.includes(`${LAB_VARIABLE}=${directory}`)) return true;
  // PostgreSQL and Bucardo overwrite their environment with a title, so look at what they work on, too: the data
  // directory, and files open for writing (not for reading: a person may be following a log).
  if (link(`/proc/${pid}/cwd`).startsWith(`${directory}/`) && link(`/proc/${pid}/cwd`).endsWith('/data')) return true;
  return entries(`/proc/${pid}/fd`).some(
    (fd) => link(`/proc/${pid}/fd/${fd}`).startsWith(`${directory}/`) && writes(read(`/proc/${pid}/fdinfo/${fd}`)),
  );
}

/** Every process that works for the lab in this directory, ourselves excepted. */
export function processesOf(directory: string): number[] {
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && identify(pid) !== undefined && belongsTo(pid, directory));
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Kills until the search finds nothing. Throws Failure when something survives for ten seconds. */
export async function killAll(find: () => readonly number[]): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (let left = find(); left.length > 0; left = find()) {
    if (Date.now() > deadline) throw new Failure(`processes ${left.join(', ')} survive SIGKILL; look at them with ps`);
    for (const pid of left) signal(pid, 'SIGKILL');
    await sleep(20);
  }
}

/** Waits for a condition, looking every `everyMs`; false when it did not come true in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = 20,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await sleep(everyMs);
  }
  return true;
}
