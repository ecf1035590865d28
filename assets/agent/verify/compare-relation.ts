import type { Client } from 'pg';
import { rangeColumns, type KeyRange } from '../catalog/key-order';
import type { KeyColumn, Relation } from '../catalog/relations';
import type { TypeShape } from '../row-hash';
import { readTypeShapes } from '../type-shapes';
import { BucketSums, bucketsFor, type Sums } from './bucket-sums';
import { compareByBuckets } from './by-buckets';
import { chunkColumns } from './chunk-columns';
import { DifferenceTally, type KeyDifference, type RelationComparison } from './comparison';
import { KeySteps } from './key-range';
import { differencesOf, readListing, type ListedRow } from './listing';
import { hashOf, RelationSql, type Condition } from './relation-sql';
import { prepareSessions } from './session';

/** What `compareRelation` needs. */
export interface CompareOptions {
  /** Session on each end; may stand in a transaction with the snapshot to be compared. */
  readonly source: Client;
  readonly target: Client;
  /** As the source has it. */
  readonly relation: Relation;
  /** The keys to be compared, by columns that both ends sort alike. @default all */
  readonly range?: KeyRange;
  /** Rows in one chunk, where the key allows ranges. */
  readonly chunkRows: number;
  /** What the source's types are made of. @default read from the source */
  readonly shapes?: (typeOid: number) => TypeShape;
  /**
   * Opens a session on the host's memory, in which many rows that may differ are sorted.
   *
   * @default they are sorted in this program's memory
   */
  readonly openMemory?: () => Promise<Client>;
  /** So many rows that may differ are sorted in this program's memory all the same. @default 50,000 */
  readonly mostListed?: number;
  /** Called after each chunk with its rows on the source, and those read once more; the next begins when it returns. */
  readonly onChunk?: (rows: number, again?: number) => void | Promise<void>;
  /** Called with each batch of keys that differ, instead of counting them. */
  readonly onDifferences?: (differences: readonly KeyDifference[]) => Promise<void>;
}

/**
 * Compares every row of one relation (alone, without its children), or of a range of its key, on both ends. Rows are hashed inside the servers and
 * only counts and sums of chunks cross the wire; a chunk that differs is cut into buckets, and only the buckets that
 * differ are listed by key.
 */
export async function compareRelation(options: CompareOptions): Promise<RelationComparison> {
  const comparison = new Comparison(options, options.shapes ?? (await readTypeShapes(options.source)));
  return comparison.run();
}

class Comparison {
  private readonly tally = new DifferenceTally();
  private readonly statements: RelationSql;
  private sourceRows = 0;
  private targetRows = 0;
  private chunks = 0;

  constructor(
    private readonly options: CompareOptions,
    shapes: (typeOid: number) => TypeShape,
  ) {
    this.statements = new RelationSql(options.relation, hashOf(options.relation, shapes));
  }

  async run(): Promise<RelationComparison> {
    const began = performance.now();
    const { source, target, relation, chunkRows } = this.options;
    await prepareSessions(source, target);
    const columns = await this.columns();
    if (columns.length > 0) {
      await this.byRanges(new KeySteps(relation, columns, chunkRows));
    } else {
      const whole = await compareByBuckets(this.options, this.statements, (here, there) => this.tell(here, there));
      [this.sourceRows, this.targetRows, this.chunks] = [whole.sourceRows, whole.targetRows, whole.chunks];
    }
    return {
      relation: relation.sql,
      sourceRows: this.sourceRows,
      targetRows: this.targetRows,
      chunks: this.chunks,
      differences: this.tally.counts,
      inFlight: 0,
      keys: this.tally.keys,
      seconds: (performance.now() - began) / 1000,
    };
  }

  /** A range is of a relation that was cut by all of them before, whatever the statistics say by now. */
  private async columns(): Promise<readonly KeyColumn[]> {
    const { source, relation, range, chunkRows } = this.options;
    const cut = range?.after !== undefined || range?.upTo !== undefined;
    return cut && relation.key ? rangeColumns(relation.key) : chunkColumns(source, relation, chunkRows);
  }

  /** The first chunk begins, and the last ends, where the range does, so that the target's extra rows are seen. */
  private async byRanges(steps: KeySteps): Promise<void> {
    const { source, target, range = {} } = this.options;
    let rest: KeyRange = range;
    let upTo = await steps.next(source, rest);
    for (;;) {
      const chunk = upTo === undefined ? rest : { ...rest, upTo };
      const where = steps.condition(chunk);
      const query = { text: this.statements.sums(where), values: [...where.values] };
      const left = upTo === undefined ? undefined : { ...range, after: upTo };
      // The source looks for the next chunk's end while the target may still be at this one.
      const [{ here, next }, there] = await Promise.all([sumsAndStep(source, query, steps, left), sums(target, query)]);
      this.count(here, there);
      const rows = Number(here.rows);
      if (!same(here, there)) await this.refine(where, Math.max(rows, Number(there.rows)));
      await this.options.onChunk?.(rows);
      if (left === undefined) return;
      rest = left;
      upTo = next;
    }
  }

  private count(here: Sums, there: Sums): void {
    this.chunks++;
    this.sourceRows += Number(here.rows);
    this.targetRows += Number(there.rows);
  }

  /** Finds the buckets of a chunk that differ, and lists both sides of them. */
  private async refine(where: Condition, rows: number): Promise<void> {
    const { source, target } = this.options;
    const by = { buckets: bucketsFor(rows) };
    const [here, there] = [new BucketSums(by), new BucketSums(by)];
    const { text, values } = this.statements.buckets(where, by);
    const read = async (client: Client, side: BucketSums): Promise<unknown> =>
      side.add((await client.query<Sums & { bucket: number }>({ text, values: [...values] })).rows);
    await Promise.all([read(source, here), read(target, there)]);
    const chosen = here.differing(there);
    if (chosen.rows === 0) return;
    const listing = this.statements.list(where, [chosen]);
    await this.tell(readListing(source, listing), readListing(target, listing));
  }

  private async tell(here: AsyncGenerator<ListedRow>, there: AsyncGenerator<ListedRow>): Promise<void> {
    for await (const batch of differencesOf(here, there)) {
      await (this.options.onDifferences ?? ((differences) => this.tally.add(differences)))(batch);
    }
  }
}

async function sums(client: Client, query: { text: string; values: string[] }): Promise<Sums> {
  const { rows } = await client.query<Sums>(query);
  return rows[0] as Sums;
}

async function sumsAndStep(
  source: Client,
  query: { text: string; values: string[] },
  steps: KeySteps,
  left: KeyRange | undefined,
): Promise<{ here: Sums; next: readonly string[] | undefined }> {
  const here = await sums(source, query);
  return { here, next: left === undefined ? undefined : await steps.next(source, left) };
}

const same = (a: Sums, b: Sums): boolean => Number(a.rows) === Number(b.rows) && a.sum === b.sum;
