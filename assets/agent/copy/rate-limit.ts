/** Longest debt that is left to later pieces instead of waiting for it; milliseconds. */
const SLACK_MS = 20;

/** Spreads bytes over time, so that all who ask the same limit stay below its rate together. */
export class RateLimit {
  private freeAt = 0;

  /** @param bytesPerSecond 0 for no limit */
  constructor(private readonly bytesPerSecond: number) {}

  /** Takes note of bytes that went out; returns how long to wait before the next, in milliseconds. */
  readonly take = (bytes: number): number => {
    if (this.bytesPerSecond <= 0) return 0;
    const now = performance.now();
    this.freeAt = Math.max(now, this.freeAt) + (bytes / this.bytesPerSecond) * 1000;
    const debt = this.freeAt - now;
    return debt > SLACK_MS ? debt : 0;
  };
}
