import type { Paced } from '../brake/paced';
import { Failure } from '../errors';

/** Time between two looks at the brake; milliseconds. */
const LOOK_MS = 100;

/** A chunk was not copied to its end, for the sake of the source; nothing is wrong with it. */
export class GivenBack extends Failure {
  /** @param waiter who waits for a lock of ours, if that is the reason */
  constructor(
    reason: string,
    readonly waiter?: string,
  ) {
    super(reason);
  }
}

/** Why the COPY of a session on the source is to end at once, with its locks and its snapshot; undefined otherwise. */
function reasonToEnd(brake: Paced, pid: number): GivenBack | undefined {
  try {
    brake.throwIfOff();
  } catch {
    return new GivenBack('capture is taken off');
  }
  const waiter = brake.waiter(pid);
  if (waiter !== undefined) return new GivenBack(`${waiter} waits for its lock`, waiter);
  const pause = brake.longPause();
  return pause === undefined ? undefined : new GivenBack(`nothing may move, because ${pause}`);
}

/**
 * Does work of a session on the source with a signal that says when to end it: slowed down, it would keep whoever waits
 * for its locks waiting for ever, and vacuum from every table. The reason of the signal is a GivenBack.
 *
 * @param pid of that session
 */
export async function givingWay<T>(brake: Paced, pid: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const control = new AbortController();
  const timer = setInterval(() => {
    const reason = reasonToEnd(brake, pid);
    if (reason !== undefined) control.abort(reason);
  }, LOOK_MS);
  try {
    return await work(control.signal);
  } finally {
    clearInterval(timer);
  }
}
