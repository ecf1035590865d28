import { setTimeout as sleep } from 'node:timers/promises';

/** A token bucket: hands out permits at a steady rate, and after a stall only a short burst of them. */
export class Pace {
  #permits = 0;
  #filledAt = performance.now();
  #queue: Promise<void> = Promise.resolve();
  readonly #burst: number;

  /** @param rate permits per second. A tenth of a second's worth (at least one) may pile up. */
  constructor(readonly rate: number) {
    this.#burst = Math.max(1, rate / 10);
  }

  /** Waits, first come first served, until one permit is there, and takes it; gives up early when aborted. */
  take(signal: AbortSignal): Promise<void> {
    this.#queue = this.#queue.then(() => this.#wait(signal));
    return this.#queue;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    for (this.#fill(); this.#permits < 1 && !signal.aborted; this.#fill()) {
      const wait = Math.max(1, ((1 - this.#permits) / this.rate) * 1000);
      await sleep(wait, undefined, { signal }).catch(() => undefined);
    }
    this.#permits -= 1;
  }

  #fill(): void {
    const now = performance.now();
    this.#permits = Math.min(this.#burst, this.#permits + ((now - this.#filledAt) / 1000) * this.rate);
    this.#filledAt = now;
  }
}
