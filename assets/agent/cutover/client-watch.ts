import type { Client } from 'pg';
import type { Context } from '../context';
import { oneLine } from '../errors';
import type { HeldClients } from '../switch/console';
import type { Finished, Switches } from '../switch/switches';
import { inTime } from '../switch/in-time';
import { clientKinds, type ClientsSaw } from './clients-saw';
import { readMoment, readRolledBack, readSeen, type Moment, type Seen } from './old-end';
import type { Timeline } from './timeline';

/** Longest wait for each answer; milliseconds. Nobody else waits for it. */
const ANSWER_MS = 2_000;

/**
 * Looks at the clients of one write pause from outside: at those that a pooler holds, and at the sessions and the
 * transactions rolled back on the end that is left. By sessions of its own, and no step of the pause waits for it;
 * whatever fails here is written down as not known.
 */
export class ClientWatch {
  private readonly unknown: string[] = [];
  private lookedAt = 0;
  private looked: Promise<{ readonly held: readonly HeldClients[]; readonly seen: readonly Seen[] }> | undefined;
  private session: Client | undefined;
  private moment: Moment | undefined;
  private rolledBack: number | undefined;

  private constructor(
    private readonly context: Context,
    private readonly switches: Switches,
  ) {}

  /** Connects, and counts what was rolled back until now. Before the pause; never throws. */
  static async open(context: Context, switches: Switches): Promise<ClientWatch> {
    const watch = new ClientWatch(context, switches);
    const { left } = watch;
    watch.session = await watch.known(`sessions on the ${left}`, () => context.connect('source'));
    const { session } = watch;
    if (session) watch.moment = await watch.known(`the clock of the ${left}`, () => readMoment(session));
    watch.rolledBack = await watch.count();
    return watch;
  }

  /** Begins the look and returns at once: right before writes go on, at either end. Only the first one counts. */
  look(timeline: Timeline): void {
    if (this.looked) return;
    this.lookedAt = timeline.elapsed();
    const fence = timeline.steps.find(({ step }) => step === 'fence');
    const { session, moment } = this;
    const since = performance.now() - (this.lookedAt - (fence?.startMs ?? 0));
    const seen = async (): Promise<Seen[]> => (session && moment && fence ? readSeen(session, moment, since) : []);
    this.looked = Promise.all([
      this.known('clients that were held', () => this.switches.held()),
      this.known(`who asked the ${this.left}`, seen),
    ]).then(([held = [], seen = []]) => ({ held, seen }));
  }

  /**
   * Everything that is known, once nobody waits any more; keeps it as evidence. Never throws.
   *
   * @param finished what became of the switches, with the sessions that they ended
   */
  async told(finished: readonly Finished[], timeline: Timeline): Promise<ClientsSaw> {
    const { context, lookedAt, left } = this;
    const { held = [], seen = [] } = (await this.looked) ?? {};
    const hidden = seen.reduce((sum, one) => sum + one.hidden, 0);
    if (hidden > 0)
      this.unknown.push(`${hidden} sessions on the ${left}: our login may not see them, grant it pg_monitor`);
    const now = await this.count();
    // A session that does not answer is not waited for.
    this.session?.end().catch(() => undefined);
    const rolledBack = now === undefined || this.rolledBack === undefined ? undefined : now - this.rolledBack;
    const kinds = clientKinds({ left, steps: timeline.steps, lookedAt, held, seen, rolledBack, finished });
    const saw = { kinds, unknown: [...new Set(this.unknown)] };
    const query = 'SHOW CLIENTS of the poolers; pg_stat_activity and pg_stat_database of the end that was left';
    await context.evidence('what clients saw', true, query, saw).catch(() => undefined);
    return saw;
  }

  /** Name of the end that is left. */
  private get left(): string {
    return this.context.real('source');
  }

  private count(): Promise<number | undefined> {
    const { session } = this;
    return this.known(`transactions rolled back on the ${this.left}`, async () => session && readRolledBack(session));
  }

  private async known<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await inTime(what, ANSWER_MS, work);
    } catch (error) {
      this.unknown.push(`${what}: ${oneLine(error)}`);
      return undefined;
    }
  }
}
