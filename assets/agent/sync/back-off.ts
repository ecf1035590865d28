/** Pauses between one try and the next; milliseconds. */
const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/** What took long waits as long as it took, up to this; milliseconds. */
const LONGEST_AFTER_LONG_MS = 600_000;

/** Time without a new failure after which the earlier ones are forgotten; milliseconds. */
const FORGIVEN_MS = 120_000;

/** Lets something that fails again and again be tried less and less often. */
export class BackOff {
  private failures = 0;
  private notBefore = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Whether it may be tried now. */
  get ready(): boolean {
    return this.now() >= this.notBefore;
  }

  /**
   * Takes note of a try; the next one must wait twice as long as this one had to, and about as long as it took.
   *
   * @param tookMs how long it took, for one that may take long; milliseconds. @default no time
   */
  tried(tookMs = 0): void {
    const now = this.now();
    if (now - tookMs - this.notBefore > FORGIVEN_MS) this.failures = 0;
    const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.failures);
    this.notBefore = now + Math.max(pause, Math.min(tookMs, LONGEST_AFTER_LONG_MS));
    this.failures += 1;
  }
}
