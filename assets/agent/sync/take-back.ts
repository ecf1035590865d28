import { readLag } from '../bucardo/queues';
import { catchUpInstead } from './catch-up-instead';
import type { Duty, Watch } from './duty';

/** For so long the backlog may grow at each look until that is called a trend. */
const GROWING_LOOKS = 12;

/** A backlog that only grows is left to Bucardo up to this part of the threshold. */
const GROWING_SHARE = 0.1;

/**
 * Gives the backlog to catch-up, which is many times faster, when it has grown above the threshold, or a tenth of it and
 * grows all the time. Bucardo applies a backlog in one transaction, and holds every key of it in memory.
 */
export class TakeBack implements Duty {
  readonly name = 'take-back';
  readonly everyMs = 5_000;
  private before = 0;
  private growing = 0;

  constructor(private readonly watch: Watch) {}

  async run(): Promise<void> {
    const { context, ends, relations } = this.watch;
    const threshold = context.config.sync.takeBackKeys;
    if (threshold === 0) return;
    const { changes } = await readLag(ends.source, relations, threshold);
    this.growing = changes > this.before ? this.growing + 1 : 0;
    this.before = changes;
    const trend = this.growing >= GROWING_LOOKS && changes >= threshold * GROWING_SHARE;
    if (changes < threshold && !trend) return;
    this.growing = 0;
    await catchUpInstead(
      this.watch,
      trend ? `the backlog grows all the time, ${changes} changes now` : `${changes} changes or more wait`,
    );
  }
}
