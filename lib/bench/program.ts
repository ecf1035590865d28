import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Failure } from '../../assets/agent/errors';

/** Longest time of one program; milliseconds. What hangs must not cost the other benchmarks their turn. */
const LONGEST_MS = 900_000;

/** Runs a program to its end with an environment of its own. Throws Failure with its last words. */
export async function runProgram(
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  const child = spawn(name, args, {
    env: { ...process.env, ...environment, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
  let [said, printed] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (printed = `${printed}${text.toString()}`.slice(-100_000)));
  child.stderr.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2_000)));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0)
    throw new Failure(`${name} ${args.join(' ')} failed: ${said.trim() || `it ended with ${String(code)}`}`);
  return printed;
}

/** Why a program of the path cannot be run; undefined when it can. */
export function missing(name: string): string | undefined {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return undefined;
    } catch {
      continue;
    }
  }
  return `${name} is not installed`;
}

/** How long something takes; seconds. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
