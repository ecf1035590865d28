import { setTimeout as sleep } from 'node:timers/promises';
import { oneLine } from '../../../assets/agent/errors';
import { Interrupted, interruptions } from './interruption';
import { parseOptions } from './options';
import { prepareReport } from './report-files';
import { rehearse, type Console } from './rehearse';

/** Until a signal that also ended a program of ours has reached us; milliseconds. */
const SIGNAL_MS = 50;

/** The command `rehearse`. @param args without node and program @returns the exit status */
export async function main(args: readonly string[], console: Console): Promise<number> {
  let stop: AbortSignal | undefined;
  try {
    const options = parseOptions(args, undefined, (text) => void console.out.write(text));
    if (!options) return 0;
    if (options.report !== undefined) prepareReport(options.report);
    stop = interruptions([console.out, console.err]);
    return await rehearse(options, console, stop);
  } catch (error) {
    // Ctrl-C also ends programs that we wait for, and their failure may be known here before the signal is.
    await sleep(SIGNAL_MS);
    const cause: unknown = stop?.aborted === true ? stop.reason : error;
    if (cause instanceof Interrupted) return cause.exitStatus;
    console.err.write(`${explain(cause)}\n`);
    return exitStatusOf(cause) ?? 1;
  }
}

const exitStatusOf = (error: unknown): number | undefined => (error as { exitStatus?: number } | null)?.exitStatus;

/** One line; with IBEX_DEBUG set, the stack trace too. What is no mistake of the user's says how to see more. */
function explain(error: unknown): string {
  const line = `rehearse: ${oneLine(error)}`;
  if (process.env['IBEX_DEBUG'] && error instanceof Error) return `${line}\n${error.stack}`;
  return exitStatusOf(error) === undefined
    ? `${line}; run it again with IBEX_DEBUG=1 to see where it comes from`
    : line;
}
