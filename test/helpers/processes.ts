import { readFileSync } from 'node:fs';

/** Whether a process runs. A zombie still answers signal 0, so its state is read. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
