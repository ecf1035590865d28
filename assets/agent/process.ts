import { readFileSync } from 'node:fs';

/** Names a process for good: its number alone may be given to another one later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly startTicks: string;
  readonly bootId: string;
}

function startTicks(pid: number): { ticks: string; state: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', ticks: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** The identity of a running process. */
export function identify(pid: number): ProcessIdentity | undefined {
  const found = startTicks(pid);
  return found && { pid, startTicks: found.ticks, bootId: bootId() };
}

/** Whether exactly this process still runs; a zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.bootId !== bootId()) return false;
  const found = startTicks(identity.pid);
  return found !== undefined && found.ticks === identity.startTicks && found.state !== 'Z';
}
