import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Context } from '../context';

/** Time between two looks at the brake; milliseconds. */
const LOOK_MS = 250;

/** Time that a process runs, and stands, at half speed; milliseconds. */
const TURN_MS = 500;

/** The processes that pg_dump has made for its jobs. */
function processes(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
    return [pid, ...children.flatMap(processes)];
  } catch {
    return [pid];
  }
}

/**
 * Stops pg_dump and its jobs while the brake says so: they cannot be asked to wait. Their snapshot stays, which costs the
 * source less than their reading does. When capture was taken off, they are ended.
 */
export function holdWhilePaused(context: Pick<Context, 'brake'>, { pid }: ChildProcess): { end(): void } {
  return holdProcesses(context, () => (pid === undefined ? [] : processes(pid)));
}

/** The same for the processes that `listed` names at each moment. */
export function holdProcesses({ brake }: Pick<Context, 'brake'>, listed: () => readonly number[]): { end(): void } {
  let held = false;
  const signal = (name: NodeJS.Signals): void => {
    for (const each of listed()) {
      try {
        process.kill(each, name);
      } catch {
        continue;
      }
    }
  };
  const hold = (wanted: boolean): void => {
    if (wanted === held) return;
    held = wanted;
    signal(wanted ? 'SIGSTOP' : 'SIGCONT');
  };
  const timer = setInterval(() => {
    try {
      brake.throwIfOff();
    } catch {
      signal('SIGKILL');
      return;
    }
    hold(brake.pace === 'paused' || (brake.pace === 'slow' && Math.floor(performance.now() / TURN_MS) % 2 === 0));
  }, LOOK_MS);
  return {
    end: () => {
      clearInterval(timer);
      hold(false);
    },
  };
}
