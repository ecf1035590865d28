import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import type { Direction } from '../endpoints';
import { oneLine } from '../errors';
import type { Logger } from '../log';
import { blindPace } from './blind';
import { refusal, takenOff } from './capture-off';
import { Gauge } from './gauge';
import { QueueWatch } from './queue-watch';
import { judge, readFreeBytes, readLoad, type HiddenWaits, type Readings } from './readings';
import { takeCaptureOff } from './take-off';

/** Time between two looks at the source; milliseconds. */
const LOOK_MS = 1_000;

/**
 * Watches source and host beside the work, on a session of its own: rows move at half speed, or not at all, while a
 * limit is exceeded; who waits for a lock of ours is told to whoever holds it; at the hard limit capture is taken off.
 */
export class Brake extends Gauge {
  private finished = false;
  private looking: Promise<void> = Promise.resolve();
  private own: Context | undefined;
  private source: Client | undefined;
  private blindLooks = 0;
  private readonly queues = new QueueWatch();
  private readonly hidden: HiddenWaits = new Map();
  private readonly drain: Gauge;

  private constructor(
    private readonly config: AgentConfig,
    private readonly direction: Direction,
    private readonly log: Logger,
    lookMs: number,
  ) {
    super(lookMs);
    this.drain = new Gauge(lookMs);
  }

  override get draining(): Gauge {
    return this.drain;
  }

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

  /** Ends the watch; what was begun to be taken off is taken off first. */
  async close(): Promise<void> {
    for (const gauge of [this, this.drain]) gauge.release();
    await this.looking;
    await this.own?.close();
  }

  private async watch(): Promise<void> {
    while (!this.closed && !this.finished) {
      try {
        await this.look();
      } catch (error) {
        await this.seeNothing(error);
      }
      const step = Math.min(50, this.lookMs);
      for (let waited = 0; waited < this.lookMs && !this.closed; waited += step) await sleep(step);
    }
  }

  private async seeNothing(error: unknown): Promise<void> {
    this.blindLooks += 1;
    const reason = `the brake cannot see the source: ${oneLine(error)}`;
    this.log.warn({ cause: oneLine(error), looks: this.blindLooks }, 'the brake cannot see the source');
    const before = this.pace;
    const pace = blindPace(this.blindLooks, error);
    if (pace !== undefined) for (const gauge of [this, this.drain]) gauge.show(pace, { reason });
    if (this.pace !== before) this.log.warn({ pace, reason }, 'brake');
    // Whichever of its sessions was lost, all are opened anew.
    const { own } = this;
    this.own = undefined;
    this.source = undefined;
    await own?.close();
  }

  private async look(): Promise<void> {
    const context = (this.own ??= await Context.create(this.config, 'brake', this.direction));
    this.source ??= await context.connect('source', 'brake');
    const earlier = await takenOff(context.state);
    if (earlier !== undefined) return this.takeOff(context, this.source, earlier);
    const readings = await this.read(this.source);
    this.blindLooks = 0;
    const verdict = judge(readings, this.config.brake, this.direction);
    const { pace, reason } = verdict;
    if (pace === 'off') return this.takeOff(context, this.source, reason);
    const before = this.pace;
    this.show(pace, verdict);
    const other = judge({ ...readings, queueGrowth: 0 }, this.config.brake, this.direction);
    if (other.pace !== 'off') this.drain.show(other.pace, other);
    if (pace === before) return;
    this.log.warn({ pace, reason }, 'brake');
    if (pace !== 'free') await context.state.count(`brake.${pace}`, 1);
  }

  private async takeOff(context: Context, source: Client, reason: string): Promise<void> {
    for (const gauge of [this, this.drain]) gauge.end(refusal(reason, this.direction));
    await takeCaptureOff(context, source, reason);
    this.finished = true;
  }

  private async read(source: Client): Promise<Readings> {
    const queues = await this.queues.look(source);
    return {
      ...(await readLoad(source, this.hidden)),
      ...queues,
      hostFreeBytes: await readFreeBytes(this.config.host.stateDirectory),
    };
  }
}
