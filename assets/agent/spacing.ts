/** How many times as long as one look took the next one waits. */
const TIMES = 10;

/** Longest wait for the next look: who waited for a lock seems to have worked, too; milliseconds. */
const LONGEST_MS = 60_000;

/**
 * Spaces looks by what they took: one that reads every table takes seconds where there are thousands, and would keep a
 * core of the source busy for weeks. Where there are few, it is due again at once.
 */
export class Spacing {
  private dueAt = -Infinity;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Whether the next look may begin. */
  get due(): boolean {
    return this.now() >= this.dueAt;
  }

  /** Looks, and takes note of how long that took, also when it fails. */
  async run<T>(look: () => Promise<T>): Promise<T> {
    const began = this.now();
    try {
      return await look();
    } finally {
      const ended = this.now();
      this.dueAt = ended + Math.min(LONGEST_MS, TIMES * (ended - began));
    }
  }
}
