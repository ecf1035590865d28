import { readdirSync, readFileSync } from 'node:fs';

/**
 * Process ids of pg_dump and its jobs, told by the path that they write to: a job has pg_dump's arguments, and is nobody's
 * child any more once pg_dump is gone.
 *
 * @param path how that path begins
 */
export function writersOf(path: string): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return command.includes(`\0--file=${path}`) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}
