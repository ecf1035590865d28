import type { Client } from 'pg';
import { Failure } from '../errors';
import { BucketSums, bucketsFor, type Sums } from './bucket-sums';
import type { CompareOptions } from './compare-relation';
import { inOrder, readListing, type ListedRow } from './listing';
import type { Condition, RelationSql } from './relation-sql';
import { placeOf, stretchesOf } from './stretches';

/** Bytes of a row, for tables whose rows nobody has counted yet. */
const LARGE_ROW = 256;

/** Rows of a stretch for each bucket that its statement may answer with. */
const ROWS_FOR_BUCKET = 4;

/** Rows that are listed in stretches, and sorted in memory; of more, the server makes one sorted list. */
const MOST_LISTED = 50_000;

/** Times that a relation is read because it was rewritten meanwhile. */
const ATTEMPTS = 3;

const NOTHING: Condition = { text: '', values: [] };

/** Is given the rows of both sides that may differ, as listings. */
type Tell = (here: AsyncGenerator<ListedRow>, there: AsyncGenerator<ListedRow>) => Promise<void>;

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
  private readonly buckets: number;
  private chunks = 0;

  constructor(
    private readonly options: CompareOptions,
    private readonly statements: RelationSql,
    private readonly tell: Tell,
  ) {
    const { rows, bytes } = options.relation;
    this.rows = Math.max(rows, bytes / LARGE_ROW);
    this.buckets = bucketsFor(this.rows);
  }

  async run(): Promise<Read> {
    for (let attempt = 1; ; attempt += 1) {
      const before = await this.files();
      const here = new BucketSums(this.buckets);
      const there = new BucketSums(this.buckets);
      await this.inStretches(async (left, right) => {
        const [read = 0] = await Promise.all([left && this.add(left, here), right && this.add(right, there)]);
        this.chunks += 1;
        await (attempt === 1 ? this.options.onChunk?.(read) : this.options.onChunk?.(0, read));
      });
      // Rows that a rewrite moved past what was read are missed, and so is it when the target lacks one of them.
      if (before === (await this.files())) {
        await this.list(here, there);
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

  /** Reads both sides abreast. @param read is given a stretch of each, or undefined for a side that has ended */
  private async inStretches(
    read: (here: [Client, Condition] | undefined, there: [Client, Condition] | undefined) => Promise<void>,
  ): Promise<void> {
    const { source, target, relation, chunkRows } = this.options;
    const cutting = { rows: this.rows, stretchRows: Math.max(chunkRows, ROWS_FOR_BUCKET * this.buckets) };
    const here = stretchesOf(source, 'source', relation, cutting);
    const there = stretchesOf(target, 'target', relation, cutting);
    for (;;) {
      const [left, right] = await Promise.all([here.next(), there.next()]);
      if (left.done && right.done) return;
      await read(left.done ? undefined : [source, left.value], right.done ? undefined : [target, right.value]);
    }
  }

  private async add([client, where]: [Client, Condition], side: BucketSums): Promise<number> {
    const text = this.statements.buckets(where, this.buckets);
    return side.add((await client.query<Sums & { bucket: number }>({ text, values: [...where.values] })).rows);
  }

  /** Lists the buckets that differ, in stretches while they are few. */
  private async list(here: BucketSums, there: BucketSums): Promise<void> {
    const { source, target, onChunk } = this.options;
    const { chosen, rows } = here.differing(there);
    if (rows === 0) return;
    const query = (where: Condition) => ({
      text: this.statements.list(where, this.buckets),
      values: [...where.values, chosen],
    });
    if (rows > MOST_LISTED) {
      await this.tell(readListing(source, query(NOTHING)), readListing(target, query(NOTHING)));
      await onChunk?.(0, here.rows);
      return;
    }
    const found: [ListedRow[], ListedRow[]] = [[], []];
    const add = async ([client, where]: [Client, Condition], side: ListedRow[]): Promise<void> => {
      for (const row of (await client.query<ListedRow>(query(where))).rows) side.push(row);
    };
    const read = here.rows / Math.max(1, this.chunks);
    await this.inStretches(async (left, right) => {
      await Promise.all([left && add(left, found[0]), right && add(right, found[1])]);
      await onChunk?.(0, read);
    });
    await this.tell(inOrder(found[0]), inOrder(found[1]));
  }
}
