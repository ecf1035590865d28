import type { Relation } from '../../catalog/relations';
import type { Context } from '../../context';
import { DirtyKeys, STRIKES, type MarkedKey } from './dirty-keys';
import type { RowState } from '../pending';
import { batchesOf, Looking, SESSIONS, type Batch } from './looking';
import { SickRelations } from '../../sync/sick-relations';
import { sideBySide } from '../../tasks';

/** Keys that one look takes in, however long the last one was ago: all are held in memory. */
const MOST_KEYS = 100_000;

/** Marks that are kept, some 2 GB, and those of relations that cannot be compared, over which each look has to go. */
const MOST_MARKS = 10_000_000;
const MOST_SICK_MARKS = 1_000_000;

/** Time between two looks whether there are more; milliseconds. */
const COUNT_EVERY_MS = 60_000;

/** How long a look may wait for a lock that somebody has on a relation; milliseconds. Its keys are looked at later then. */
const LOCK_TIMEOUT_MS = 500;

/** What one look at marked keys found. */
export interface DirtyOutcome {
  readonly equal: number;
  /** Changed again meanwhile; marked again when that is applied. */
  readonly pending: number;
  /** Found different often enough to be sure. */
  readonly different: number;
}

/**
 * Compares marked keys while writes go on. A relation that cannot be compared keeps its marks, and holds up no other. Where
 * there are so many marks that they would fill the host, relations are compared as a whole instead.
 */
export class DirtyVerifier {
  private readonly looking: Looking;
  private dirty: DirtyKeys | undefined;
  private last = performance.now();
  private countAt = -Infinity;

  constructor(
    private readonly context: Context,
    private relations: readonly Relation[],
    private readonly sick: SickRelations,
  ) {
    this.looking = new Looking(context, LOCK_TIMEOUT_MS);
  }

  /** From now on compares these relations, as the source has them now. */
  over(relations: readonly Relation[]): void {
    this.relations = relations;
    this.looking.forget();
  }

  /**
   * Looks once at the oldest marked keys, as many as the setting allows for the time since the last call. It never waits:
   * a key is different when three calls, one after the other, find it so while its source row stays the same.
   */
  async step(): Promise<DirtyOutcome> {
    const now = performance.now();
    const seconds = (now - this.last) / 1000;
    this.last = now;
    return this.look(Math.min(MOST_KEYS, Math.floor(seconds * this.context.config.verify.dirtyKeysPerSecond)));
  }

  async close(): Promise<void> {
    await Promise.all([this.looking.close(), this.dirty?.close()]);
    this.dirty = undefined;
  }

  private async look(limit: number): Promise<DirtyOutcome> {
    const dirty = (this.dirty ??= await DirtyKeys.open(this.context));
    const { sick } = this;
    sick.only(this.relations);
    await sick.tell(this.context.state);
    await this.keepFew(dirty);
    if (limit === 0) return { equal: 0, pending: 0, different: 0 };
    const relations = this.relations.filter((relation) => sick.mayBeTried(relation));
    const marked = await dirty.oldest(relations, limit);
    const batches = batchesOf(relations, marked);
    const looks = new Map<Batch, [RowState, RowState][]>();
    const failed = new Set<Relation>();
    await sideBySide(SESSIONS, batches, async (batch) => {
      if (failed.has(batch.relation)) return;
      try {
        looks.set(batch, await this.looking.with((pair) => this.looking.look(pair, batch)));
      } catch (error) {
        if (failed.has(batch.relation)) return;
        sick.failed(batch.relation, error, this.context.log);
        failed.add(batch.relation);
      }
    });
    const looked = new Set(batches.map(({ relation }) => relation));
    const isAll = marked.reduce((marks, { ids }) => marks + ids.length, 0) < limit;
    for (const relation of relations) {
      if (!failed.has(relation) && (isAll || looked.has(relation))) sick.well(relation);
    }
    await sick.tell(this.context.state);
    const sum = { equal: 0, pending: 0, different: 0 };
    for (const [batch, states] of looks) {
      const found = await this.judge(dirty, batch, states);
      sum.equal += found.equal;
      sum.pending += found.pending;
      sum.different += found.different;
    }
    return sum;
  }

  private async keepFew(dirty: DirtyKeys): Promise<void> {
    if (performance.now() < this.countAt) return;
    this.countAt = performance.now() + COUNT_EVERY_MS;
    const ill = this.relations.filter((relation) => this.sick.isTold(relation));
    const relations = [
      ...(ill.length === 0 ? [] : await dirty.keepAtMost(MOST_SICK_MARKS, ill)),
      ...(await dirty.keepAtMost(MOST_MARKS, this.relations)),
    ];
    if (relations.length > 0) this.context.log.warn({ relations }, 'too many keys wait: compared as a whole again');
  }

  private async judge(
    dirty: DirtyKeys,
    { relation, keys }: Batch,
    states: readonly [RowState, RowState][],
  ): Promise<DirtyOutcome> {
    const sum = { equal: 0, pending: 0, different: 0 };
    const done: MarkedKey[] = [];
    for (const [i, [here, there]] of states.entries()) {
      const key = keys[i] as MarkedKey;
      // A change that is on its way leaves a mark of its own when it is forgotten.
      if (here.pending || here.hash === there.hash) {
        done.push(key);
        sum[here.pending ? 'pending' : 'equal']++;
        continue;
      }
      const strikes = key.strikes > 0 && key.lastHash === here.hash ? key.strikes + 1 : 1;
      await dirty.strike(key, strikes, here.hash);
      if (strikes < STRIKES) continue;
      sum.different++;
      this.context.log.error({ relation: relation.sql, key: key.key }, 'a row differs after it was applied');
    }
    await dirty.clear(done);
    return sum;
  }
}
