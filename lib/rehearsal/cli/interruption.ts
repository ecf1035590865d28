import { constants } from 'node:os';
import type { Output } from './text';

/** Signals that end a rehearsal: Ctrl-C, a polite kill, a closed terminal. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** How often the parent is looked for; milliseconds. */
const PARENT_MS = 300;

/** Somebody wants the rehearsal to end. */
export class Interrupted extends Error {
  /** As a shell reports a program that a signal ended. */
  readonly exitStatus: number;

  constructor(readonly signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.exitStatus = 128 + constants.signals[signal];
  }
}

/**
 * From now on signals, a reader that goes away, and errors that nobody caught end the rehearsal in order, instead of
 * this process at once: they abort the result, with Interrupted or the error as its reason. The first one counts; a
 * second Ctrl-C changes nothing, so that nothing stays behind.
 *
 * @param outputs whose reader may go away
 */
export function interruptions(outputs: readonly Output[], source: NodeJS.Process = process): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) source.on(signal, () => controller.abort(new Interrupted(signal)));
  for (const output of outputs) output.on('error', () => controller.abort(new Interrupted('SIGPIPE')));
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    source.on(event, (error: unknown) => controller.abort(error));
  }
  if (source.env['npm_lifecycle_event'] !== undefined) whenOrphaned(() => controller.abort(new Interrupted('SIGTERM')));
  return controller.signal;
}

/** A kill of npm ends npm and its shell, and is not told to what they started: only that they are gone can be seen. */
function whenOrphaned(tell: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    tell();
  }, PARENT_MS);
  timer.unref();
}

/** Rejects with the reason when the signal is aborted, and never resolves. */
export const whenAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const give = (): void => reject(signal.reason as Error);
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
