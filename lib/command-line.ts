import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { oneLine } from '../assets/agent/errors';
import { Interrupted, interruptions } from './rehearsal/cli/interruption';
import type { Output } from './rehearsal/cli/text';

/** Where a command writes. */
export interface Console {
  readonly out: Output;
  readonly err: Output;
}

/** Until a signal that also ended a program of ours has reached us; milliseconds. */
const SIGNAL_MS = 50;

/** A whole number above zero, as commander reads it. Throws commander's error. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1) throw new InvalidArgumentError('it must be a whole number above 0.');
  return value;
}

/** A number above zero, as commander reads it. Throws commander's error. */
export function number(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('it must be a number above 0.');
  return value;
}

/** A path as the caller meant it: npm changes to the repository's directory, and says in INIT_CWD where it was. */
export const path = (text: string): string => resolve(process.env['INIT_CWD'] ?? process.cwd(), text);

/** One of the commands that npm runs, without its options. @param name as in `npm run <name>` */
export const npmCommand = (name: string, description: string, { out, err }: Console): Command =>
  new Command(`npm run ${name} --`)
    .description(description)
    .allowExcessArguments(false)
    .configureOutput({ writeOut: (text) => void out.write(text), writeErr: (text) => void err.write(text) })
    .exitOverride();

/**
 * Runs a command to its end, and says in one line what went wrong. Returns the exit status: that of the work, 2 for a
 * mistake in the options, 128 and the signal's number when a signal ended it, else 1.
 *
 * @param name stands before the line
 * @param work calls `interrupted` once its options are read: from then on a signal aborts that, instead of ending this
 *   process at once
 */
export async function runCommand(
  name: string,
  { out, err }: Console,
  work: (interrupted: () => AbortSignal) => Promise<number>,
): Promise<number> {
  let stop: AbortSignal | undefined;
  try {
    return await work(() => (stop = interruptions([out, err])));
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // Ctrl-C also ends programs that we wait for, and their failure may be known here before the signal is.
    await sleep(SIGNAL_MS);
    const cause: unknown = stop?.aborted === true ? stop.reason : error;
    if (cause instanceof Interrupted) return cause.exitStatus;
    err.write(`${explain(name, cause)}\n`);
    return exitStatusOf(cause) ?? 1;
  }
}

const exitStatusOf = (error: unknown): number | undefined => (error as { exitStatus?: number } | null)?.exitStatus;

/** One line; with IBEX_DEBUG set, the stack trace too. What is no mistake of the user's says how to see more. */
function explain(name: string, error: unknown): string {
  const line = `${name}: ${oneLine(error)}`;
  if (process.env['IBEX_DEBUG'] && error instanceof Error) return `${line}\n${error.stack}`;
  return exitStatusOf(error) === undefined
    ? `${line}; run it again with IBEX_DEBUG=1 to see where it comes from`
    : line;
}
