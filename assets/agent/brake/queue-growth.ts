/** Readings that are looked back over; with one each five seconds, a minute. */
const WINDOW = 12;

/** Readings without which nothing is said: one burst is no trend. */
const ENOUGH = 4;

/** How fast the captured changes grow, over the last readings of their size. */
export class QueueGrowth {
  private readonly readings: { readonly bytes: number; readonly at: number }[] = [];

  /**
   * Takes a reading. Returns bytes a minute; 0 while too little is known, or when they shrink.
   *
   * @param at milliseconds of a clock that never goes back
   */
  add(bytes: number, at: number): number {
    this.readings.push({ bytes, at });
    if (this.readings.length > WINDOW + 1) this.readings.shift();
    const first = this.readings[0] ?? { bytes, at };
    if (this.readings.length < ENOUGH || at <= first.at) return 0;
    return Math.max(0, ((bytes - first.bytes) * 60_000) / (at - first.at));
  }
}
