import type { Client } from 'pg';
import { readLag } from '../bucardo/queues';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { oneLine } from '../errors';
import { leadHome, setLed } from './home';
import { makeReaderSwitches } from '../switch/make';
import type { Finished, Switches } from '../switch/switches';

/** Longest time of leading the readers, all of their switches together; milliseconds. */
const LEAD_MS = 60_000;

/** Changes that are counted at the most, per relation. */
const COUNTED = 100_000;

/**
 * Moves the readers of an address of their own to the end that takes over before writes are stopped there, as long as it
 * is near enough: what they read is applied in batches, so a transaction may be there in part. They go back when it is
 * not near any more, and whenever the writes do not move after all.
 */
export class Readers {
  private led = false;

  private constructor(
    private readonly context: Context,
    private readonly switches: Switches,
    private readonly wanted: boolean,
  ) {}

  static of(context: Context): Readers {
    return new Readers(context, makeReaderSwitches(context), context.config.cutover.readersFirst.switches.length > 0);
  }

  /** Puts back the readers that an attempt has left at the other end, because it was killed. */
  async home(): Promise<void> {
    if (this.wanted) await leadHome(this.context, 'readers', this.switches);
  }

  /** Leads them, if the lag allows it. Returns whether it did; what fails is told, and no reason to stop the cutover. */
  async lead(source: Client, relations: readonly Relation[]): Promise<boolean> {
    if (!this.wanted || !(await this.isNear('readers before writers', source, relations))) return false;
    const to = this.context.real('target');
    try {
      // Before it is done: who is killed in between leaves readers that the next run has to look for.
      await setLed(this.context, 'readers', true);
      this.led = true;
      const moved = await this.switches.move(to, () => LEAD_MS);
      await this.context.evidence('readers before writers', true, 'switches.move of cutover.readersFirst', { moved });
    } catch (error) {
      this.context.log.error({ err: error }, 'the readers could not be moved; they move with the writers');
      await this.back();
    }
    return this.led;
  }

  /** Sends them back when the end that takes over has fallen behind meanwhile. */
  async stayWhileNear(source: Client, relations: readonly Relation[]): Promise<void> {
    if (this.led && !(await this.isNear('readers stay', source, relations))) await this.back();
  }

  /** Puts them back where the writes are. Never throws. */
  async back(): Promise<void> {
    if (!this.led) return;
    this.led = false;
    const done = await this.switches.back(this.context.real('source'));
    const isBack = done.every(({ problem }) => problem === undefined);
    await this.context.evidence('readers are back', isBack, 'switches.back', done).catch(() => undefined);
    if (isBack) await setLed(this.context, 'readers', false).catch(() => undefined);
  }

  /** Once writes are open: moves those that were not led before, and does what follows. Never throws. */
  async arrive(): Promise<Finished[]> {
    if (!this.wanted) return [];
    const to = this.context.real('target');
    const moved: Finished[] = [];
    if (!this.led) {
      try {
        moved.push({ switch: 'readers', done: await this.switches.move(to, () => LEAD_MS) });
      } catch (error) {
        return [{ switch: 'readers', problem: oneLine(error) }];
      }
    }
    const finished = await this.switches.finish(to);
    await setLed(this.context, 'readers', false);
    return [...moved, ...finished];
  }

  close(): void {
    this.switches.close();
  }

  private async isNear(gate: string, source: Client, relations: readonly Relation[]): Promise<boolean> {
    const limit = this.context.config.cutover.readersFirst.lagSeconds;
    const lag = await readLag(source, relations, COUNTED);
    const near = lag.seconds <= limit;
    await this.context.evidence(`${gate}: lag`, near, 'readLag', {
      verdict: near ? 'pass' : 'warn',
      figure: `${lag.seconds.toFixed(1)} s and ${lag.changes} changes behind, ${limit} s allowed`,
      ...(!near && { todo: 'the readers stay where the writes are, and move with them' }),
      result: lag,
    });
    return near;
  }
}
