/** Readings that are looked back over; with one each five seconds, a minute. */
const WINDOW = 12;

/** Older readings are forgotten where there are enough younger ones: thousands of tables take long to measure; milliseconds. */
const OLD_MS = 90_000;

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
    const young = this.readings.filter((reading) => at - reading.at <= OLD_MS).length;
    this.readings.splice(0, this.readings.length - Math.min(WINDOW + 1, Math.max(ENOUGH, young)));
    const first = this.readings[0] ?? { bytes, at };
    if (this.readings.length < ENOUGH || at <= first.at) return 0;
    return Math.max(0, ((bytes - first.bytes) * 60_000) / (at - first.at));
  }
}
