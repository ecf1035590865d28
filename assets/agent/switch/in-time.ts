import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, oneLine } from '../errors';

/** How long work that was told to end may take to do so; milliseconds. */
const ENDING_MS = 2_000;

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/** How long some work has. */
export interface Time {
  /** Aborted when it is over. */
  readonly signal: AbortSignal;
  /** Milliseconds that are left. */
  left(): number;
}

/**
 * Does work that has this long, tells it when its time is over, and waits for its end even then: whatever comes next
 * must not run beside it. Throws Failure that names the work.
 */
export async function inTime<T>(name: string, ms: number, work: (time: Time) => Promise<T>): Promise<T> {
  if (ms <= 0) throw new Failure(`${name}: no time was left for it`);
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort(), ms);
  const end = performance.now() + ms;
  const done = work({ signal: clock.signal, left: () => end - performance.now() });
  try {
    return await Promise.race([done, deserted(clock.signal)]);
  } catch (error) {
    if (!clock.signal.aborted) throw error;
    throw new Failure(`${name} took longer than the ${seconds(ms)} that it had (${oneLine(error)})`, { cause: error });
  } finally {
    clearTimeout(timer);
    done.catch(() => undefined);
  }
}

/** Rejects when work that was told to end has not done so. */
async function deserted(signal: AbortSignal): Promise<never> {
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await sleep(ENDING_MS, undefined, { ref: false });
  throw new Failure('it does not end');
}
