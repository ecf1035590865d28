import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { CutoverConfig } from '../config';
import { Failure, oneLine } from '../errors';
import type { End } from '../endpoints';

const execute = promisify(execFile);

/** Moves the clients to one end. Returns what was done, in words. Throws Failure when the command fails or hangs. */
export async function switchClients(config: CutoverConfig['switch'], to: End): Promise<string> {
  if (config.kind === 'manual') return `the operator points the clients at the ${to}`;
  const [program, ...args] = config.command;
  if (program === undefined) throw new Failure('cutover.switch.command is empty; name a program');
  try {
    await execute(program, [...args, to], { timeout: config.timeoutSeconds * 1000, killSignal: 'SIGKILL' });
  } catch (error) {
    const { stderr, killed } = error as { stderr?: string; killed?: boolean };
    const why = killed ? `took longer than ${config.timeoutSeconds} s` : oneLine((stderr ?? '').trim() || error);
    throw new Failure(`switching clients to the ${to} failed: ${program} ${why}`);
  }
  return `${program} moved the clients to the ${to}`;
}
