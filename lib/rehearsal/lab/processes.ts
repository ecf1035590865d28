import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../../assets/agent/errors';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot, from /proc/<pid>/stat. */
  readonly started: string;
  /** The kernel's identity of this boot, since ticks begin again with each. */
  readonly boot: string;
}

/** Environment variable that marks every process of a lab; its value is the lab's directory. */
export const LAB_VARIABLE = 'IBEX_REHEARSAL';

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** State letter and fields behind the name, which may hold spaces and parentheses itself. */
function statFields(pid: number): readonly string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Identity of a process, or undefined when it is gone or a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  const started = fields?.[19];
  if (!started || fields?.[0] === 'Z') return undefined;
  return { pid, started, boot: read('/proc/sys/kernel/random/boot_id')?.trim() ?? '' };
}

/** Whether exactly this process still runs. */
export function isAlive(known: ProcessIdentity): boolean {
  const now = identify(known.pid);
  return now !== undefined && now.started === known.started && now.boot === known.boot;
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
