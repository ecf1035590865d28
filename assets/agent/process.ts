import { readFileSync } from 'node:fs';

/** Names a process for good: its number alone may be given to another one later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly started: string;
  /** The kernel's identity of this boot, since ticks begin again with each. */
  readonly boot: string;
}

/** State letter and fields behind the name, which may hold spaces and parentheses itself. */
function statFields(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/** Identity of a process; undefined when it is gone or a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = statFields(pid);
  const started = fields[19];
  if (started === undefined || fields[0] === 'Z') return undefined;
  return { pid, started, boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() };
}

/** Whether exactly this process still runs. */
export function isAlive(known: ProcessIdentity): boolean {
  const now = identify(known.pid);
  return now !== undefined && now.started === known.started && now.boot === known.boot;
}

/** Sends a signal to those of these processes that are still there. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      continue;
    }
  }
}
