import type { Client } from 'pg';
import { truncatedRelations } from '../bucardo/queues';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { setKnown } from '../connect';
import { GivenBack } from '../copy/give-way';
import { oneLine } from '../errors';
import { concernsAll, inOne } from '../failures';
import type { Lease } from '../lease';
import { isLost } from '../lost';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import { applyChanges, type Portion, type Sessions } from './apply';
import { applyFew, FEW } from './apply-few';
import { readBacklog, total, type Backlog } from './backlog';
import { BATCH } from './cut-queue';
import { rewrittenSince, withSnapshot, type Exported } from './exported';
import { explain } from './explain';
import { makePortions, type Portions } from './portions';

/**
 * Keys of one range are hashed in memory while the relation is read along its key, by one core: rows then come in the
 * key's order, in which the target's index takes them a quarter faster, and the source's other cores stay its own.
 */
const SOURCE_SETTINGS: Readonly<Record<string, string>> = {
  work_mem: '32MB',
  default_statistics_target: '10',
  max_parallel_workers_per_gather: '0',
  jit: 'off',
};

/** The planner wants to know how many keys a portion has, and little more, some hundred times. */
const TARGET_SETTINGS: Readonly<Record<string, string>> = {
  default_statistics_target: '5',
  work_mem: '32MB',
  jit: 'off',
};

/**
 * How often a portion gives way, or is applied once more since a session was ended, as a backlog is cut once more; then it
 * hurries, and fails with its session: a backlog that is never applied does the source more harm.
 */
const MOST_GIVEN_BACK = 5;

/** How often the closing round is run for tables that are truncated or rewritten meanwhile. */
const MOST_CLOSING_ROUNDS = 5;

/** Rounds for truncated tables alone: a table that is truncated all the time must not keep Bucardo from the others. */
const MOST_EXTRA_ROUNDS = 5;

/** A portion that is to be applied. */
type Waiting = Portion & { readonly relation: Relation; readonly givenBack?: number };

/** Applies the changes of many relations with several sessions at once. */
export class CatchUp {
  private readonly idle: Sessions[] = [];

  /** Of which one session was ended, perhaps while the other one was still at work. */
  private readonly ended = new WeakSet<Sessions>();

  constructor(
    private readonly context: Context,
    private readonly relations: readonly Relation[],
    private readonly lease: Lease,
    /** Changes of one range of a long queue; also how far a queue is counted before it is called long. */
    private readonly batch: number = BATCH,
  ) {}

  /**
   * Goes round until fewer changes than `threshold` are left, and no relation that was truncated, which nobody else can
   * copy anew. Returns the keys applied. Rounds shrink as long as the target takes changes faster than the source makes
   * them; progress tells when they do not.
   *
   * @param patience rounds in a row that leave no fewer changes than the best one before them, after which it is left at
   *   that: what comes while one round is under way is as little as there can be. @default without end
   */
  async until(source: Client, threshold: number, patience = Infinity): Promise<number> {
    let applied = 0;
    let [least, inVain] = [Infinity, 0];
    for (let extra = 0; ;) {
      const backlog = await readBacklog(source, this.relations, this.batch);
      const left = total(backlog);
      this.context.progress.report(applied, applied + left, 'changes', `${backlog.length} relations behind`);
      if (left === 0) return applied;
      // What is counted no further may have become less all the same.
      const isWhole = backlog.every(({ changes }) => changes < this.batch);
      inVain = left < least || !isWhole ? 0 : inVain + 1;
      least = Math.min(least, left);
      if (inVain === patience) this.context.log.warn({ left }, 'changes come as fast as they are applied');
      if (left < threshold || inVain >= patience) {
        if (extra === MOST_EXTRA_ROUNDS || !backlog.some(({ truncated }) => truncated)) return applied;
        extra += 1;
      }
      applied += await this.apply(backlog.map(({ relation }) => relation));
    }
  }

  /**
   * Brings every relation to one and the same snapshot of the source, so that unique constraints can be built and
   * foreign keys validated: the target then is the source as it was at one instant. A TRUNCATE, and an ALTER TABLE that
   * rewrites, empty their table under every older snapshot, so the round is repeated when one has come; at most a few
   * times. Returns the keys applied, and the relations that are of another instant than all others even so.
   */
  async toOneSnapshot(source: Client): Promise<{ readonly keys: number; readonly restless: readonly Relation[] }> {
    let applied = 0;
    for (let round = 1; ; round += 1) {
      const { snapshot, keys } = await withSnapshot(source, this.relations, async (taken) => ({
        snapshot: taken,
        keys: await this.apply(this.relations, taken),
      }));
      applied += keys;
      // Those that the snapshot showed are forgotten.
      const truncated = await truncatedRelations(source, this.relations);
      const rewritten = await rewrittenSince(snapshot, source, this.relations);
      const restless = this.relations.filter((each) => truncated.includes(each) || rewritten.includes(each));
      if (restless.length === 0) return { keys: applied, restless };
      const names = restless.map(({ sql: name }) => name);
      this.context.log.warn({ round, names }, 'truncated or rewritten during the closing round');
      if (round === MOST_CLOSING_ROUNDS) return { keys: applied, restless };
    }
  }

  /**
   * Applies each of these relations once, long queues in ranges where that may be. One that cannot be applied does not
   * keep the others from it; which those were is thrown at the end.
   *
   * @param snapshot to apply to; the newest one without
   * @param sessions how many work side by side, as many as the settings say without
   */
  async apply(
    relations: readonly Relation[],
    snapshot?: Exported,
    sessions: number = this.context.config.restore.jobs,
  ): Promise<number> {
    const { portions, failed } = await this.portions(relations, snapshot, sessions);
    const queue: Waiting[] = [...portions];
    let applied = 0;
    const failures = new Map<string, unknown>();
    const fail = ({ sql: name }: Relation, error: unknown): void => {
      this.context.log.error({ relation: name, err: error }, 'not applied');
      if (!failures.has(name)) failures.set(name, error);
    };
    for (const { relation, error } of failed) fail(relation, await explain(relation, error, undefined, undefined));
    const next = async (waiting: Waiting): Promise<void> => {
      if (failures.has(waiting.relation.sql)) return;
      await this.context.brake.draining.clear();
      try {
        const keys = await this.one(waiting);
        if (keys === undefined) queue.unshift({ ...waiting, givenBack: (waiting.givenBack ?? 0) + 1 });
        applied += keys ?? 0;
      } catch (error) {
        if (concernsAll(error)) throw error;
        fail(waiting.relation, error);
      }
    };
    const worker = async (): Promise<void> => {
      try {
        for (let waiting = queue.shift(); waiting; waiting = queue.shift()) await next(waiting);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    };
    const workers = Math.min(sessions, queue.length);
    const outcomes = await Promise.allSettled(Array.from({ length: workers }, worker));
    if (applied > 0) await this.context.state.count('rows.catch-up', applied);
    const ended = outcomes.find((outcome) => outcome.status === 'rejected');
    if (ended) throw ended.reason;
    if (failures.size > 0) throw inOne([...failures.values()]);
    return applied;
  }

  /** Applies a portion. Returns its keys; undefined when it was given back. */
  private async one({ relation, givenBack = 0, ...portion }: Waiting): Promise<number | undefined> {
    const pair = await this.take();
    try {
      const brake = givenBack < MOST_GIVEN_BACK ? this.context.brake.draining : undefined;
      const keys = await applyChanges({ ...pair, brake }, this.lease, relation, portion);
      this.keep(pair);
      if (keys > 0) this.context.log.info({ relation: relation.sql, keys }, 'changes applied');
      return keys;
    } catch (error) {
      await end(pair);
      if (!(error instanceof GivenBack)) throw error;
      this.context.log.warn({ relation: relation.sql, cause: oneLine(error) }, 'given back');
      return undefined;
    }
  }

  /**
   * Applies a backlog that is short, in as few round trips and commits as can be: relations with few changes together,
   * dealt out to the sessions, and only the others one by one, as those are whose session was ended.
   *
   * @param sessions how many work side by side
   */
  async applyShort(backlog: readonly Backlog[], sessions: number): Promise<number> {
    const few = backlog.filter(({ changes }) => changes <= FEW).map(({ relation }) => relation);
    const rest = backlog.filter(({ changes }) => changes > FEW).map(({ relation }) => relation);
    const hands = Array.from({ length: Math.min(sessions, few.length) }, (_, hand) =>
      few.filter((_relation, index) => index % sessions === hand),
    );
    const outcomes = await Promise.allSettled(
      hands.map(async (relations) => {
        const pair = await this.take();
        try {
          const applied = await applyFew(pair, this.lease, relations);
          this.keep(pair);
          return applied;
        } catch (error) {
          await end(pair);
          if (!isLost(error)) throw error;
          this.context.log.warn({ relations: relations.length, cause: oneLine(error) }, 'given back');
          return { keys: 0, left: relations };
        }
      }),
    );
    const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const applied = done.reduce((sum, { keys }) => sum + keys, 0);
    if (applied > 0) await this.context.state.count('rows.catch-up', applied);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
    const left = [...rest, ...done.flatMap((each) => each.left)];
    return applied + (left.length > 0 ? await this.apply(left, undefined, sessions) : 0);
  }

  private async portions(
    relations: readonly Relation[],
    snapshot: Exported | undefined,
    hands: number,
  ): Promise<Portions> {
    if (relations.length === 0) return { portions: [], failed: [] };
    const cutting = { batch: this.batch, hands, snapshot };
    for (let givenBack = 0; ; givenBack += 1) {
      const pair = await this.take();
      try {
        const portions = await makePortions(pair, this.context.config, relations, cutting);
        this.keep(pair);
        return portions;
      } catch (error) {
        await end(pair);
        if (!isLost(error) || givenBack === MOST_GIVEN_BACK) throw error;
        this.context.log.warn({ relations: relations.length, cause: oneLine(error) }, 'cut once more');
      }
    }
  }

  /** Opens sessions until so many stand ready, so that a later `apply` has none to open. */
  async ready(sessions: number): Promise<void> {
    const missing = Math.max(0, sessions - this.idle.length);
    for (const pair of await Promise.all(Array.from({ length: missing }, () => this.open()))) this.keep(pair);
  }

  /** Closes the sessions that stand ready. */
  async close(): Promise<void> {
    await Promise.all(this.idle.splice(0).map(end));
  }

  /** Sessions of an earlier round, or new ones; within the write pause nothing should have to connect. */
  private async take(): Promise<Sessions> {
    return this.idle.pop() ?? this.open();
  }

  private async open(): Promise<Sessions> {
    const source = await this.context.connect('source', 'catch-up');
    await setKnown(source, SOURCE_SETTINGS);
    const target = await this.context.connect('target', 'catch-up');
    await setKnown(target, TARGET_SETTINGS);
    const dirty = await DirtyKeys.open(this.context);
    const pair: Sessions = { source, target, dirty, ask: (work) => this.context.with('source', work) };
    for (const client of [source, target]) client.once('end', () => this.discard(pair));
    return pair;
  }

  /** Lets sessions stand ready that are done with their work. */
  private keep(pair: Sessions): void {
    if (this.ended.has(pair)) void end(pair);
    else this.idle.push(pair);
  }

  /** What is ended while it stands ready is not taken. */
  private discard(pair: Sessions): void {
    this.ended.add(pair);
    const place = this.idle.indexOf(pair);
    if (place < 0) return;
    this.idle.splice(place, 1);
    void end(pair);
  }
}

async function end({ source, target, dirty }: Sessions): Promise<void> {
  await Promise.allSettled([source.end(), target.end(), dirty?.close()]);
}
