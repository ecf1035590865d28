/** Pauses between one try and the next; milliseconds. */
const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

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

  /** Takes note of a try; the next one must wait twice as long as this one had to. */
  tried(): void {
    if (this.now() - this.notBefore > FORGIVEN_MS) this.failures = 0;
    this.notBefore = this.now() + Math.min(LONGEST_MS, FIRST_MS * 2 ** this.failures);
    this.failures += 1;
  }
}
