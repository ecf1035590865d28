import type { Client } from 'pg';
import type { Relation } from '../../catalog/relations';
import type { Context } from '../../context';
import { readTypeShapes } from '../../type-shapes';
import type { KeyDifference } from '../comparison';
import { KeyStates, type RowState } from '../pending';
import { hashOf } from '../relation-sql';
import { prepareSessions } from '../session';
import { DirtyKeys, STRIKES, type DirtyKey } from './dirty-keys';

/** Keys in one statement. */
const BATCH = 500;

/** Keys that wait to be looked at are let pile up for so long at most; seconds of the limit. */
const BURST_SECONDS = 2;

/** What one look at marked keys found. */
export interface DirtyOutcome {
  readonly equal: number;
  /** Changed again meanwhile; marked again when that is applied. */
  readonly pending: number;
  /** Found different often enough to be sure. */
  readonly different: number;
}

/** A key that differs, and whose. */
export interface RemainingDifference extends KeyDifference {
  readonly relation: string;
}

/** What the comparison of all marked keys found. */
export interface RemainingOutcome {
  /** Keys that were compared. */
  readonly keys: number;
  readonly differences: readonly RemainingDifference[];
  /** Relations of which no whole comparison is known, so that the marked keys prove nothing. */
  readonly unverified: readonly string[];
}

/** Compares marked keys with sessions of its own, which are opened when they are first needed. */
export class DirtyVerifier {
  private sessions: { readonly source: Client; readonly target: Client } | undefined;
  private dirty: DirtyKeys | undefined;
  private readonly states = new Map<string, KeyStates>();
  private last = performance.now();

  constructor(
    private readonly context: Context,
    private readonly relations: readonly Relation[],
  ) {}

  /**
   * Looks once at the oldest marked keys, as many as the setting allows for the time since the last call. It never waits:
   * a key is different when three calls, one after the other, find it so while its source row stays the same.
   */
  async step(): Promise<DirtyOutcome> {
    const now = performance.now();
    const seconds = Math.min(BURST_SECONDS, (now - this.last) / 1000);
    this.last = now;
    let left = Math.floor(seconds * this.context.config.verify.dirtyKeysPerSecond);
    const sum = { equal: 0, pending: 0, different: 0 };
    const dirty = await this.open();
    for (const relation of this.relations) {
      if (left <= 0) break;
      const keys = await dirty.oldest(relation, left);
      left -= keys.length;
      const done: DirtyKey[] = [];
      for (const [key, here, there] of await this.look(relation, keys)) {
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
    }
    return sum;
  }

  /**
   * Compares every marked key, once, and takes the marks of those that are equal away. For the pause, when writes are
   * stopped and everything is applied: what differs then is different.
   */
  async remaining(): Promise<RemainingOutcome> {
    const dirty = await this.open();
    const { unverified } = await dirty.count(this.relations);
    const differences: RemainingDifference[] = [];
    let compared = 0;
    for (const relation of this.relations) {
      for (let after = '0'; ;) {
        const keys = await dirty.oldest(relation, BATCH * 10, after, true);
        if (keys.length === 0) break;
        after = String(keys.flatMap(({ ids }) => ids.map(BigInt)).reduce((a, b) => (a > b ? a : b)));
        const looked = await this.look(relation, keys);
        compared += looked.length;
        await dirty.clear(looked.filter(([, here, there]) => here.hash === there.hash).map(([key]) => key));
        for (const [{ key }, here, there] of looked) {
          if (here.hash !== there.hash) differences.push({ relation: relation.sql, ...difference(key, here, there) });
        }
      }
    }
    return { keys: compared, differences, unverified };
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.sessions?.source.end(), this.sessions?.target.end(), this.dirty?.close()]);
    this.sessions = undefined;
    this.dirty = undefined;
  }

  private async open(): Promise<DirtyKeys> {
    return (this.dirty ??= await DirtyKeys.open(this.context));
  }

  private async look(relation: Relation, keys: readonly DirtyKey[]): Promise<[DirtyKey, RowState, RowState][]> {
    if (keys.length === 0) return [];
    const { source, target } = await this.ends();
    const states = await this.statesOf(source, relation);
    const looked: [DirtyKey, RowState, RowState][] = [];
    for (let from = 0; from < keys.length; from += BATCH) {
      const batch = keys.slice(from, from + BATCH);
      const list = batch.map(({ key }) => key);
      // The target first: what the source then calls applied may be newer than this look, but not than the next.
      const there = await states.onTarget(target, list);
      const here = await states.onSource(source, list);
      batch.forEach((key, i) => looked.push([key, here[i] as RowState, there[i] as RowState]));
    }
    return looked;
  }

  private async ends(): Promise<{ readonly source: Client; readonly target: Client }> {
    if (this.sessions) return this.sessions;
    const source = await this.context.connect('source', 'verify');
    const target = await this.context.connect('target', 'verify');
    await prepareSessions(source, target);
    return (this.sessions = { source, target });
  }

  private async statesOf(source: Client, relation: Relation): Promise<KeyStates> {
    const known = this.states.get(relation.sql);
    if (known) return known;
    const states = await KeyStates.of(source, relation, hashOf(relation, await readTypeShapes(source)));
    this.states.set(relation.sql, states);
    return states;
  }
}

function difference(key: readonly string[], here: RowState, there: RowState): KeyDifference {
  return {
    kind: there.hash === null ? 'missing on target' : here.hash === null ? 'extra on target' : 'different',
    key,
    ...(here.hash !== null && { sourceHash: here.hash }),
    ...(there.hash !== null && { targetHash: there.hash }),
  };
}
