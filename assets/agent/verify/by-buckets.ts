import type { Client } from 'pg';
import { Failure } from '../errors';
import { BucketSums, bucketsFor, type Bucketing, type ChosenBuckets, type Sums } from './bucket-sums';
import type { CompareOptions } from './compare-relation';
import { inOrder, readListing, type ListedRow } from './listing';
import type { Condition, RelationSql } from './relation-sql';
import { Spool } from './spool';
import { placeOf, stretchesOf } from './stretches';

/** Bytes of a row, for tables whose rows nobody has counted yet. */
const LARGE_ROW = 256;

/** Rows of a stretch for each bucket that its statement may answer with. */
const ROWS_FOR_BUCKET = 4;

/** Rows that are sorted in memory. */
const MOST_LISTED = 50_000;

/** Bits of a row's hash that choose its bucket at most; further ones tell more of rows whose buckets differ. */
const BUCKET_BITS = 16;

/** Times that a relation is read because it was rewritten meanwhile. */
const ATTEMPTS = 3;

/** Is given the rows of both sides that may differ, as listings. */
type Tell = (here: AsyncGenerator<ListedRow>, there: AsyncGenerator<ListedRow>) => Promise<void>;

/** A stretch of each side; undefined for one that has ended. */
type Abreast = [here: [Client, Condition] | undefined, there: [Client, Condition] | undefined];

/** Rows that were read, and stretches in which. */
interface Read {
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly chunks: number;
}

/**
 * Compares all of a relation whose key means no ranges that both ends have alike. Each side is read once, in stretches by
 * its own order; buckets alone tell what both have in common. Stretches may be of different snapshots: a row that moved
 * from one to another meanwhile differs, and is looked at again like any that changes.
 */
export const compareByBuckets = (options: CompareOptions, statements: RelationSql, tell: Tell): Promise<Read> =>
  new ByBuckets(options, statements, tell).run();

class ByBuckets {
  private readonly rows: number;
  private readonly by: Bucketing;
  private chunks = 0;

  constructor(
    private readonly options: CompareOptions,
    private readonly statements: RelationSql,
    private readonly tell: Tell,
  ) {
    const { rows, bytes } = options.relation;
    this.rows = Math.max(rows, bytes / LARGE_ROW);
    this.by = { buckets: bucketsFor(this.rows) };
  }

  async run(): Promise<Read> {
    for (let attempt = 1; ; attempt += 1) {
      const before = await this.files();
      const here = new BucketSums(this.by);
      const there = new BucketSums(this.by);
      await this.inStretches(async (left, right) => {
        const [read = 0] = await Promise.all([left && this.add(left, here), right && this.add(right, there)]);
        this.chunks += 1;
        await (attempt === 1 ? this.options.onChunk?.(read) : this.options.onChunk?.(0, read));
      });
      // Rows that a rewrite moved past what was read are missed, and so is it when the target lacks one of them.
      if (before === (await this.files())) {
        await this.list(here.rows / Math.max(1, this.chunks), here.differing(there));
        return { sourceRows: here.rows, targetRows: there.rows, chunks: this.chunks };
      }
      if (attempt === ATTEMPTS) {
        throw new Failure(
          `${this.options.relation.sql} was rewritten (VACUUM FULL, CLUSTER, TRUNCATE, ALTER TABLE) each of ${ATTEMPTS} times that it was read; keep that away meanwhile, and verify again`,
        );
      }
    }
  }

  private async files(): Promise<string> {
    const { source, target, relation } = this.options;
    const places = await Promise.all([source, target].map((client) => placeOf(client, relation)));
    return places.map(({ file }) => file).join();
  }

  /** Reads both sides abreast. */
  private async inStretches(read: (...sides: Abreast) => Promise<void>): Promise<void> {
    const { source, target, relation, chunkRows } = this.options;
    const cutting = { rows: this.rows, stretchRows: Math.max(chunkRows, ROWS_FOR_BUCKET * this.by.buckets) };
    const here = stretchesOf(source, 'source', relation, cutting);
    const there = stretchesOf(target, 'target', relation, cutting);
    for (;;) {
      const [left, right] = await Promise.all([here.next(), there.next()]);
      if (left.done && right.done) return;
      await read(left.done ? undefined : [source, left.value], right.done ? undefined : [target, right.value]);
    }
  }

  private async add(
    [client, where]: [Client, Condition],
    side: BucketSums,
    within?: readonly ChosenBuckets[],
  ): Promise<number> {
    const { text, values } = this.statements.buckets(where, side.by, within);
    return side.add((await client.query<Sums & { bucket: number }>({ text, values: [...values] })).rows);
  }

  /**
   * Lists the rows whose buckets differ, in stretches. A bucket of a large relation has many rows, and those of a busy
   * one are behind at any time, so of many rows further bits of their hashes tell first which are to be listed.
   *
   * @param read rows of a stretch, about
   */
  private async list(read: number, first: ChosenBuckets & { readonly rows: number }): Promise<void> {
    const { openMemory, mostListed = MOST_LISTED } = this.options;
    if (first.rows === 0) return;
    if (first.rows <= mostListed) return this.listInMemory(read, [first]);
    const by = { buckets: bucketsFor(first.rows, 1), shift: BUCKET_BITS };
    const [here, there] = [new BucketSums(by), new BucketSums(by)];
    await this.again(read, (left, right) =>
      Promise.all([left && this.add(left, here, [first]), right && this.add(right, there, [first])]),
    );
    const second = here.differing(there);
    if (second.rows === 0) return;
    const within = [first, second];
    if (second.rows <= mostListed || openMemory === undefined) return this.listInMemory(read, within);
    const spool = await Spool.open(openMemory);
    try {
      const add = ([client, where]: [Client, Condition], side: 'here' | 'there'): Promise<void> =>
        spool.add(side, readListing(client, this.statements.list(where, within)));
      await this.again(read, (left, right) => Promise.all([left && add(left, 'here'), right && add(right, 'there')]));
      await this.tell(spool.read('here'), spool.read('there'));
    } finally {
      await spool.close();
    }
  }

  private async listInMemory(read: number, within: readonly ChosenBuckets[]): Promise<void> {
    const found: [ListedRow[], ListedRow[]] = [[], []];
    const add = async ([client, where]: [Client, Condition], side: ListedRow[]): Promise<void> => {
      const { text, values } = this.statements.list(where, within);
      for (const row of (await client.query<ListedRow>({ text, values: [...values] })).rows) side.push(row);
    };
    await this.again(read, (left, right) => Promise.all([left && add(left, found[0]), right && add(right, found[1])]));
    await this.tell(inOrder(found[0]), inOrder(found[1]));
  }

  /** Reads both sides once more. */
  private again(read: number, work: (...sides: Abreast) => Promise<unknown>): Promise<void> {
    return this.inStretches(async (...sides) => {
      await work(...sides);
      await this.options.onChunk?.(0, read);
    });
  }
}
