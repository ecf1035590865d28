import { readLag } from '../bucardo/queues';
import { Spacing } from '../spacing';
import { catchUpInstead, dueRelations } from './catch-up-instead';
import type { Duty, Watch } from './duty';
import type { SupervisorMemory } from './memory';

/** For so long the backlog may grow at each look until that is called a trend. */
const GROWING_LOOKS = 12;

/** A backlog that only grows is left to Bucardo up to this part of the threshold. */
const GROWING_SHARE = 0.1;

/**
 * Gives the backlog to catch-up, which is many times faster, when it has grown above the threshold, or a tenth of it and
 * grows all the time. Bucardo applies a backlog in one transaction, and holds every key of it in memory. Where that
 * fails, Bucardo gets its turn before it is tried again.
 */
export class TakeBack implements Duty {
  readonly name = 'take-back';
  readonly everyMs = 5_000;
  readonly spacing = new Spacing();
  private before = 0;
  private growing = 0;

  constructor(
    private readonly watch: Watch,
    private readonly memory: Pick<SupervisorMemory, 'recopies' | 'takeBacks'>,
  ) {}

  async run(): Promise<void> {
    const { context, ends, relations } = this.watch;
    const { recopies, takeBacks } = this.memory;
    const threshold = context.config.sync.takeBackKeys;
    if (threshold === 0 || !takeBacks.ready) return;
    const { changes } = await this.spacing.run(async () =>
      readLag(ends.source, await dueRelations(ends.source, relations, recopies), threshold),
    );
    this.growing = changes > this.before ? this.growing + 1 : 0;
    this.before = changes;
    const trend = this.growing >= GROWING_LOOKS && changes >= threshold * GROWING_SHARE;
    if (changes < threshold && !trend) return;
    this.growing = 0;
    const why = trend ? `the backlog grows all the time, ${changes} changes now` : `${changes} changes or more wait`;
    const began = performance.now();
    try {
      await catchUpInstead(this.watch, recopies, why);
    } catch (error) {
      takeBacks.tried(performance.now() - began);
      throw error;
    }
  }
}
