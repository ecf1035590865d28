import type { Client } from 'pg';
import type { Relation } from '../../catalog/relations';
import type { Context } from '../../context';
import { Failure } from '../../errors';
import { compareRelation } from '../compare-relation';
import { differing, type KeyDifference } from '../comparison';
import { differenceOf } from '../pending';
import { DirtyKeys, STRIKES, type MarkedKey, type Standing } from './dirty-keys';
import { batchesOf, Looking, SESSIONS, type Batch } from './looking';
import { sideBySide } from '../../tasks';

/** A key that differs, and whose. */
export interface LastDifference extends KeyDifference {
  readonly relation: string;
}

/** Why all is known to be equal when the other end opens. */
export interface LastProof {
  /** Keys applied since they were compared last, and compared now that nobody writes. */
  readonly keys: number;
  /** Relations compared as a whole now, since nothing was known of them, or they had been copied anew. */
  readonly whole: readonly { readonly relation: string; readonly rows: number }[];
  /** Relations that had been found equal as a whole before, with the source's rows then. */
  readonly before: {
    readonly relations: number;
    readonly rows: number;
    /** When the oldest and the newest of these comparisons ended; absent when there is none. */
    readonly from?: string;
    readonly to?: string;
  };
  /** The first of what differs; at most `SHOWN`. */
  readonly differences: readonly LastDifference[];
  readonly different: number;
  /** Relations of which nothing is known, and that are too large to be compared now; quoted names. */
  readonly unverified: readonly string[];
}

/** Differences that a proof shows. */
const SHOWN = 20;

/** Marks that are read at once. */
const PAGE = 20_000;

/** Rows in one chunk of a relation that is compared as a whole. */
const CHUNK_ROWS = 10_000;

/** Rows of relations of which nothing is known, counted up to a limit. */
export interface UnknownRows {
  readonly rows: number;
  /** Those whose rows are within the limit, all together. */
  readonly small: readonly Relation[];
  readonly large: readonly Relation[];
}

/** Counts what would have to be compared as a whole, as far as the limit: more is too much whatever it is. */
export async function countUnknown(source: Client, standing: readonly Standing[], limit: number): Promise<UnknownRows> {
  const [small, large]: [Relation[], Relation[]] = [[], []];
  let rows = 0;
  for (const { relation, verifiedAt } of standing) {
    if (verifiedAt !== null) continue;
    const left = limit - rows;
    const counted = await source.query(
      `SELECT count(*)::int AS rows FROM (SELECT FROM ONLY ${relation.sql} LIMIT $1) AS t`,
      [left + 1],
    );
    const found = (counted.rows[0] as { rows: number }).rows;
    if (found > left) large.push(relation);
    else {
      small.push(relation);
      rows += found;
    }
  }
  return { rows, small, large };
}

/**
 * Compares what may differ once writes are stopped and everything is applied: marked keys row by row, and relations of
 * which nothing is known, as a whole. What differs then is different, whoever is to blame.
 */
export class LastKeys {
  private constructor(
    private readonly context: Context,
    private readonly looking: Looking,
    private readonly dirty: DirtyKeys,
  ) {}

  /** Opens every session that `compare` needs; to be called before writes stop. */
  static async open(context: Context): Promise<LastKeys> {
    const looking = new Looking(context);
    await looking.ready(SESSIONS);
    return new LastKeys(context, looking, await DirtyKeys.open(context));
  }

  /**
   * Compares. Marks of keys that are equal go; those that differ are marked as proven, so that the gate knows of them.
   *
   * @param left milliseconds for which nobody can write; what is seen after that says nothing, and is not kept
   */
  async compare(relations: readonly Relation[], left: () => number): Promise<LastProof> {
    const standing = await this.dirty.standing(relations);
    const { keysToCompare } = this.context.config.ready;
    const unknown = await this.looking.with(({ source }) => countUnknown(source, standing, keysToCompare));
    const run = new Run(this.looking, this.dirty, left);
    const whole = new Set(unknown.small);
    await run.keys(relations.filter((relation) => !whole.has(relation)));
    await run.whole(unknown.small);
    const verified = standing.filter(({ verifiedAt }) => verifiedAt !== null);
    const times = verified.map(({ verifiedAt }) => (verifiedAt as Date).toISOString()).sort();
    return {
      keys: run.compared,
      whole: run.wholes,
      before: {
        relations: verified.length,
        rows: verified.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
        ...(times.length > 0 && { from: times[0], to: times.at(-1) }),
      },
      differences: run.differences.slice(0, SHOWN),
      different: run.different,
      unverified: unknown.large.map(({ sql }) => sql),
    };
  }

  /** Has these tables, by quoted name, compared as a whole before they count as equal again. */
  leaveBehind(tables: readonly string[]): Promise<void> {
    return this.dirty.markTables(tables);
  }

  async close(): Promise<void> {
    await Promise.all([this.looking.close(), this.dirty.close()]);
  }
}

class Run {
  compared = 0;
  different = 0;
  readonly differences: LastDifference[] = [];
  readonly wholes: { relation: string; rows: number }[] = [];
  private readonly equal: MarkedKey[] = [];
  private readonly unequal: MarkedKey[] = [];

  constructor(
    private readonly looking: Looking,
    private readonly dirty: DirtyKeys,
    private readonly left: () => number,
  ) {}

  async keys(relations: readonly Relation[]): Promise<void> {
    for (let after = '0'; ;) {
      const page = await this.dirty.page(after, PAGE);
      if (page === undefined) return;
      after = page.last;
      const batches = batchesOf(relations, page.keys);
      await sideBySide(SESSIONS, batches, (batch) => this.batch(batch));
      await this.keep();
    }
  }

  async whole(relations: readonly Relation[]): Promise<void> {
    if (relations.length === 0) return;
    const begun = await this.looking.with(({ source }) => this.dirty.begin(source, relations));
    const equal = new Map<Relation, number>();
    await sideBySide(SESSIONS, relations, async (relation) => {
      const { sourceRows, differences, keys } = await this.looking.with(async (pair) =>
        compareRelation({
          ...pair,
          relation,
          chunkRows: CHUNK_ROWS,
          shapes: await this.looking.shapes(pair.source),
        }),
      );
      this.requireTime();
      const different = differing(differences);
      this.wholes.push({ relation: relation.sql, rows: sourceRows });
      this.tell(relation, keys, different);
      if (different === 0) equal.set(relation, sourceRows);
    });
    for (const [relation, beginning] of begun) await this.dirty.end(relation, beginning, equal.get(relation));
  }

  private async batch(batch: Batch): Promise<void> {
    const { relation, keys } = batch;
    const states = await this.looking.with((pair) => this.looking.lookAtRest(pair, batch));
    this.requireTime();
    this.compared += keys.length;
    for (const [i, [here, there]] of states.entries()) {
      const key = keys[i] as MarkedKey;
      if (here.hash === there.hash) this.equal.push(key);
      else {
        this.tell(relation, [differenceOf(key.key, here, there)], 1);
        this.unequal.push({ ...key, lastHash: here.hash });
      }
    }
  }

  /** Keeps what was found of a page of marks. */
  private async keep(): Promise<void> {
    await this.dirty.clear(this.equal.splice(0));
    for (const key of this.unequal.splice(0)) await this.dirty.strike(key, STRIKES, key.lastHash);
  }

  private tell(relation: Relation, found: readonly KeyDifference[], count: number): void {
    this.different += count;
    if (this.differences.length >= SHOWN) return;
    this.differences.push(...found.slice(0, SHOWN).map((one) => ({ relation: relation.sql, ...one })));
  }

  private requireTime(): void {
    if (this.left() <= 0) throw new Failure('the time ran out while the last keys were compared');
  }
}
