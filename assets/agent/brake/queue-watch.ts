import type { Client } from 'pg';
import { Spacing } from '../spacing';
import { QueueGrowth } from './queue-growth';
import { QueueSize } from './queue-size';
import type { Readings } from './readings';

/** Looks from the end of one measurement to the beginning of the next. */
const LOOKS_BETWEEN = 5;

type Queues = Pick<Readings, 'queueBytes' | 'queueGrowth'>;

/** Measures the captured changes beside looks that may not wait for thousands of tables: some of these at a look. */
export class QueueWatch {
  private looks = 0;
  private next = 0;
  private known: Queues | undefined;
  private readonly growth = new QueueGrowth();

  constructor(
    private readonly size = new QueueSize(),
    private readonly spacing = new Spacing(),
  ) {}

  /** Goes on measuring, when that is due at this look. Returns what was known when all tables were measured last. */
  async look(source: Client): Promise<Queues> {
    this.looks += 1;
    // All at once at first: who begins anew every few seconds, since the target is away, must meet the hard limit.
    if (this.known === undefined) return this.found(await this.spacing.run(() => this.size.rest(source)));
    if (this.looks < this.next || !this.spacing.due) return this.known;
    const queueBytes = await this.spacing.run(() => this.size.step(source));
    return queueBytes === undefined ? this.known : this.found(queueBytes);
  }

  private found(queueBytes: number): Queues {
    this.next = this.looks + LOOKS_BETWEEN;
    this.known = { queueBytes, queueGrowth: this.growth.add(queueBytes, performance.now()) };
    return this.known;
  }
}
