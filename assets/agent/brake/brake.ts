import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import type { Direction } from '../endpoints';
import { oneLine } from '../errors';
import type { Logger } from '../log';
import type { Pace, Paced } from './paced';
import { QueueGrowth } from './queue-growth';
import { judge, readFreeBytes, readLoad, readQueueBytes, type Readings, type Verdict } from './readings';
import { refusal, takeCaptureOff, takenOff } from './take-off';

/** Time between two looks at the source; milliseconds. */
const LOOK_MS = 1_000;

/** Looks between two measurements of the queues, which take longer. */
const QUEUE_LOOKS = 5;

/** Looks in a row that find nothing may move, after which what holds a snapshot gives its work back. */
const LONG_PAUSE_LOOKS = 10;

/** Longest wait that one piece is asked for, so that a pause is looked at again; milliseconds. */
const PIECE_MS = 1_000;

/**
 * Watches source and host beside the work, on a session of its own: rows move at half speed, or not at all, while a
 * limit is exceeded; who waits for a lock of ours is told to whoever holds it; at the hard limit capture is taken off.
 */
export class Brake implements Paced {
  pace: Pace = 'free';
  private off: Error | undefined;
  private finished = false;
  private closed = false;
  private looking: Promise<void> = Promise.resolve();
  private own: Context | undefined;
  private source: Client | undefined;
  private looks = 0;
  private verdict: Verdict = { pace: 'free', reason: '' };
  private stillLooks = 0;
  private queue = { queueBytes: 0, queueGrowth: 0 };
  private readonly growth = new QueueGrowth();
  private lastPiece = performance.now();

  private constructor(
    private readonly config: AgentConfig,
    private readonly direction: Direction,
    private readonly log: Logger,
    private readonly lookMs: number,
  ) {}

  /**
   * Begins to watch, with sessions of its own: those of the work may be in the midst of a transaction.
   *
   * @param lookMs time between two looks; milliseconds
   */
  static open({ config, direction, log }: Pick<Context, 'config' | 'direction' | 'log'>, lookMs = LOOK_MS): Brake {
    const brake = new Brake(config, direction, log, lookMs);
    brake.looking = brake.watch();
    return brake;
  }

  readonly wait = (): number => {
    const now = performance.now();
    const worked = now - this.lastPiece;
    this.lastPiece = now;
    if (this.off !== undefined || this.standsStill) return PIECE_MS;
    // As long as the last piece took: half speed.
    return this.pace === 'slow' ? Math.min(PIECE_MS, Math.max(1, worked)) : 0;
  };

  readonly clear = async (): Promise<void> => {
    for (;;) {
      if (this.off !== undefined) throw this.off;
      if (!this.standsStill || this.closed) return;
      await sleep(this.lookMs / 4);
    }
  };

  readonly throwIfOff = (): void => {
    if (this.off !== undefined) throw this.off;
  };

  readonly waiter = (holder: number | string): string | undefined =>
    this.verdict.waits?.find(({ holders }) =>
      holders.some(({ pid, application }) => pid === holder || `${application} `.startsWith(`${holder} `)),
    )?.who;

  readonly longPause = (): string | undefined => (this.stillLooks > LONG_PAUSE_LOOKS ? this.verdict.reason : undefined);

  private get standsStill(): boolean {
    return this.pace === 'paused' || this.pace === 'yield';
  }

  /** Ends the watch; what was begun to be taken off is taken off first. */
  async close(): Promise<void> {
    this.closed = true;
    await this.looking;
    await this.own?.close();
  }

  private async watch(): Promise<void> {
    while (!this.closed && !this.finished) {
      try {
        await this.look();
      } catch (error) {
        // A source that does not answer is for those to tell who work on it.
        this.log.warn({ cause: oneLine(error) }, 'the brake cannot see the source');
        await this.source?.end().catch(() => undefined);
        this.source = undefined;
      }
      const step = Math.min(50, this.lookMs);
      for (let waited = 0; waited < this.lookMs && !this.closed; waited += step) await sleep(step);
    }
  }

  private async look(): Promise<void> {
    const context = (this.own ??= await Context.create(this.config, 'brake', this.direction));
    this.source ??= await context.connect('source', 'brake');
    const earlier = await takenOff(context.state);
    const verdict: Verdict = earlier === undefined ? await this.read(this.source) : { pace: 'off', reason: earlier };
    const { pace, reason } = verdict;
    if (pace === 'off') {
      this.off = refusal(reason);
      await takeCaptureOff(context, this.source, reason);
      this.finished = true;
      return;
    }
    const before = this.pace;
    this.verdict = verdict;
    this.pace = pace;
    this.stillLooks = this.standsStill ? this.stillLooks + 1 : 0;
    if (pace === before) return;
    this.log.warn({ pace, reason }, 'brake');
    if (pace !== 'free') await context.state.count(`brake.${pace}`, 1);
  }

  private async read(source: Client): Promise<Verdict> {
    const { config } = this;
    if (this.looks % QUEUE_LOOKS === 0) {
      const queueBytes = await readQueueBytes(source);
      this.queue = { queueBytes, queueGrowth: this.growth.add(queueBytes, performance.now()) };
    }
    this.looks += 1;
    const readings: Readings = {
      ...(await readLoad(source)),
      ...this.queue,
      hostFreeBytes: await readFreeBytes(config.host.stateDirectory),
    };
    return judge(readings, config.brake);
  }
}
