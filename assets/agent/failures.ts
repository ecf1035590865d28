import { Failure, oneLine } from './errors';
import { HostLost } from './host-volume';
import { LeaseLost } from './lease';
import { isLost } from './lost';

/** How many failures are told in full. */
const SHOWN = 5;

/** A server that is out of disk or sessions; out of memory or temporary files it may be for one relation's sake. */
const OUT_OF_RESOURCES = /^53[013]00$/;

/** Of the same code as a row that is too large for the memory, but of no relation's making: max_locks_per_transaction. */
const OUT_OF_LOCKS = /out of shared memory/;

/** What to do about a relation that takes more of a server than it gives, by the server's code. */
export const ROOM_CURES: Readonly<Record<string, string>> = {
  '53200': 'a server has no memory for a row of this table: give it a larger class, or lower agent.restore.jobs',
  '53400': 'a server gives no statement so many temporary files: raise its temp_file_limit',
};

/** Whether what failed with one relation would fail with the others too: a server is gone or full, or another run works. */
export function concernsAll(error: unknown): boolean {
  const codeOf = (each: unknown): string => (each as { code?: string }).code ?? '';
  const cause = (error as { cause?: unknown }).cause ?? {};
  return (
    isLost(error) ||
    [error, cause].some(
      (each) =>
        each instanceof LeaseLost ||
        each instanceof HostLost ||
        OUT_OF_RESOURCES.test(codeOf(each)) ||
        OUT_OF_LOCKS.test(oneLine(each)),
    )
  );
}

/** The first of these lines, and how many more there are. */
export function listed(lines: readonly string[]): string {
  const more = lines.length > SHOWN ? `; and ${lines.length - SHOWN} more, see the log` : '';
  return `${lines.slice(0, SHOWN).join('; ')}${more}`;
}

/** The failures of several relations as one, which names each; the only one of them is itself. */
export function inOne(failures: readonly unknown[]): unknown {
  const [first] = failures;
  if (failures.length < 2) return first;
  const cause: unknown = first instanceof Error ? (first.cause ?? first) : first;
  return new Failure(listed(failures.map(oneLine)), { cause });
}
