import type { Client } from 'pg';
import type { Relation } from '../../catalog/relations';
import { setKnown } from '../../connect';
import type { Context } from '../../context';
import type { TypeShape } from '../../row-hash';
import { readTypeShapes } from '../../type-shapes';
import { KeyStates, type RowState } from '../pending';
import { hashOf } from '../relation-sql';
import { prepareSessions } from '../session';
import type { MarkedKey } from './dirty-keys';

/** Keys in one statement. */
const LOOK_KEYS = 500;

/** Sessions on each end that look at the same time; each waits for an answer most of the time. */
export const SESSIONS = 4;

/** A session on each end, ready to compare. */
export interface Pair {
  readonly source: Client;
  readonly target: Client;
}

/** Keys of one relation that are looked at by one statement of each end. */
export interface Batch {
  readonly relation: Relation;
  readonly keys: readonly MarkedKey[];
}

/** Cuts keys of these relations into batches. Keys of others, as what a rollback leaves behind by name, are left out. */
export function batchesOf(relations: readonly Relation[], keys: readonly MarkedKey[]): Batch[] {
  const byName = new Map<string, MarkedKey[]>();
  for (const key of keys) {
    const name = JSON.stringify([key.schema, key.name]);
    const group = byName.get(name);
    if (group) group.push(key);
    else byName.set(name, [key]);
  }
  return relations.flatMap((relation) => {
    const group = byName.get(JSON.stringify([relation.schema, relation.name])) ?? [];
    return Array.from({ length: Math.ceil(group.length / LOOK_KEYS) }, (_, i) => ({
      relation,
      keys: group.slice(i * LOOK_KEYS, (i + 1) * LOOK_KEYS),
    }));
  });
}

/** Looks at keys on both ends, with sessions of its own, which are opened when they are first needed. */
export class Looking {
  private idle: Pair[] = [];
  private known = new WeakMap<Relation, Promise<KeyStates>>();
  private types: Promise<(typeOid: number) => TypeShape> | undefined;

  /** @param lockTimeoutMs how long a statement may wait for a lock; milliseconds. @default without end */
  constructor(
    private readonly context: Context,
    private readonly lockTimeoutMs = 0,
  ) {}

  /** Opens sessions until so many pairs stand ready, and reads what the source's types are made of. */
  async ready(pairs: number): Promise<void> {
    const missing = Math.max(0, pairs - this.idle.length);
    this.idle.push(...(await Promise.all(Array.from({ length: missing }, () => this.open()))));
    await this.with(({ source }) => this.shapes(source));
  }

  /** Runs work with a pair that nobody else uses; one that failed is closed, since it may be in the midst of something. */
  async with<T>(work: (pair: Pair) => Promise<T>): Promise<T> {
    const pair = this.idle.pop() ?? (await this.open());
    try {
      const done = await work(pair);
      this.idle.push(pair);
      return done;
    } catch (error) {
      await end(pair);
      // What was being read on it may have failed with it.
      this.forget();
      throw error;
    }
  }

  /** How the rows of these keys stand, on the source and on the target. */
  async look({ source, target }: Pair, { relation, keys: marked }: Batch): Promise<[RowState, RowState][]> {
    const keys = marked.map(({ key }) => key);
    const states = await this.statesOf(source, relation);
    // The target first: what the source then calls applied may be newer than this look, but not than the next.
    const there = await states.onTarget(target, keys);
    const here = await states.onSource(source, keys);
    return keys.map((_, i) => [here[i] as RowState, there[i] as RowState]);
  }

  /** The same while nobody writes: both ends are asked at once. */
  async lookAtRest({ source, target }: Pair, { relation, keys: marked }: Batch): Promise<[RowState, RowState][]> {
    const keys = marked.map(({ key }) => key);
    const states = await this.statesOf(source, relation);
    const [here, there] = await Promise.all([states.onSource(source, keys), states.onTarget(target, keys)]);
    return keys.map((_, i) => [here[i] as RowState, there[i] as RowState]);
  }

  /** What the source's types are made of; read once. */
  shapes(source: Client): Promise<(typeOid: number) => TypeShape> {
    return (this.types ??= readTypeShapes(source));
  }

  /** Forgets what was known of relations and types, as after DDL. */
  forget(): void {
    this.known = new WeakMap();
    this.types = undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.idle.splice(0).map(end));
    this.forget();
  }

  private statesOf(source: Client, relation: Relation): Promise<KeyStates> {
    const known = this.known.get(relation);
    if (known) return known;
    const states = this.shapes(source).then((shapes) => KeyStates.of(source, relation, hashOf(relation, shapes)));
    this.known.set(relation, states);
    return states;
  }

  private async open(): Promise<Pair> {
    const source = await this.context.connect('source', 'compare keys');
    let target: Client | undefined;
    try {
      target = await this.context.connect('target', 'compare keys');
      await prepareSessions(source, target);
      const settings = { lock_timeout: `${this.lockTimeoutMs}ms` };
      await Promise.all([setKnown(source, settings), setKnown(target, settings)]);
      return { source, target };
    } catch (error) {
      await end({ source, target });
      throw error;
    }
  }
}

async function end({ source, target }: Pick<Pair, 'source'> & { target: Client | undefined }): Promise<void> {
  await Promise.allSettled([source.end(), target?.end()]);
}
