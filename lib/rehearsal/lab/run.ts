import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from '../../../assets/agent/errors';
import type { Account } from './account';

/** A program that ended with another status than 0; the message is one line, `stderr` is all it said. */
export class ProgramFailure extends Failure {
  constructor(
    program: string,
    readonly stderr: string,
    status: number | string | null,
  ) {
    const lines = stderr.split('\n').filter((line) => line.trim() !== '');
    const said = lines.find((line) => /error|fatal/i.test(line)) ?? lines.at(-1) ?? 'it said nothing';
    super(`${basename(program)} failed (${status}): ${said.trim()}`);
  }
}

/** How a program is run. */
export interface RunOptions {
  /** @default the caller's account */
  readonly account?: Account;
  /** @default '/' */
  readonly cwd?: string;
  /** The whole environment, nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** Piped to the program's standard input. @default none */
  readonly input?: Readable;
}

/** Runs a program to its end; gives back its standard output. Throws ProgramFailure. */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const child = spawn(program, args, {
    ...options.account?.ids,
    cwd: options.cwd ?? '/',
    env: options.environment,
    stdio: [options.input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const ended = new Promise<number | string | null>((resolve, reject) => {
    child.once('error', (error) => reject(new ProgramFailure(program, error.message, 'not started')));
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  // A program that ends early closes its input; its status and its words say why, not the broken pipe.
  const fed = options.input && child.stdin ? pipeline(options.input, child.stdin).catch(() => undefined) : undefined;
  const status = await ended;
  options.input?.destroy();
  await fed;
  if (status !== 0) throw new ProgramFailure(program, output.stderr, status);
  return output.stdout;
}
