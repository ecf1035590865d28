import { setTimeout as sleep } from 'node:timers/promises';

/** How a condition is waited for. */
interface Waiting {
  /** Pause between two looks; milliseconds. @default 20 */
  readonly everyMs?: number;
  /** When it is given up; seconds. @default 150, less than a test may take */
  readonly seconds?: number;
}

/**
 * Looks until what it sees is neither false nor undefined, and returns that. Throws an error with the text of the
 * condition when it does not come true in time: a test that hangs says nothing.
 */
export async function until<T>(
  look: () => T | Promise<T>,
  { everyMs = 20, seconds = 150 }: Waiting = {},
): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + seconds * 1000; ; await sleep(everyMs)) {
    const seen = await look();
    if (seen !== false && seen !== undefined && seen !== null) return seen;
    if (Date.now() > deadline) throw new Error(`not so within ${seconds} s: ${look.toString()}`);
  }
}
