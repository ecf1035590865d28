import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, isAbsolute } from 'node:path';
import { Failure, oneLine } from '../errors';
import type { HookRunner } from './hook';

/** What is kept of a program's last words; characters. */
const KEPT = 2_000;

/** So much later than we would timeout(1) ends a program, when we are gone; milliseconds. */
const LATER_MS = 500;

/**
 * A hook that is a program of the host. It runs under timeout(1) in a process group of its own: that ends it in time
 * even when this program is gone, and its children with it.
 */
export function commandHook(command: readonly string[]): HookRunner {
  const [program = '', ...args] = command;
  const name = nameOf(program, args);
  return {
    name,
    check: (): Promise<readonly string[]> => Promise.resolve(isRunnable(program) ? [] : [`${program} is no program`]),
    run: async (moment, to, { signal, left }) => {
      signal.throwIfAborted();
      const limit = ((left() + LATER_MS) / 1000).toFixed(3);
      const child = spawn('timeout', ['--signal=KILL', limit, program, ...args, to], {
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, IBEX_MOMENT: moment },
      });
      let said = '';
      child.stderr?.on('data', (data: Buffer) => (said = (said + String(data)).slice(-KEPT)));
      const kill = (): void => killGroup(child);
      signal.addEventListener('abort', kill, { once: true });
      try {
        const ended = await endOf(child);
        if (ended === 0) return;
        const why = signal.aborted ? 'was killed' : oneLine(said.trim()) || `ended with ${ended}`;
        throw new Failure(`${name} ${why}`);
      } finally {
        signal.removeEventListener('abort', kill);
        // A child of the program that left its group may hold this for ever.
        child.stderr?.destroy();
      }
    },
  };
}

/** An interpreter is told by the file that it runs: `node switch.cjs` says more than `/usr/bin/node`. */
function nameOf(program: string, [first = '']: readonly string[]): string {
  return isAbsolute(first) ? `${basename(program)} ${basename(first)}` : program;
}

/** Whether it can be started as far as its file tells; what PATH finds is not looked for. */
function isRunnable(program: string): boolean {
  if (!isAbsolute(program)) return program !== '';
  try {
    accessSync(program, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      // What it said last may still be on its way.
      setImmediate(() => resolve(code ?? signal ?? 'nothing'));
    });
  });
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself in between.
  }
}
