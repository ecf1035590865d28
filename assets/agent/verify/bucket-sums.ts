/** Count and sum of the hashes of some rows. */
export interface Sums {
  readonly rows: number;
  readonly sum: string;
}

/** Rows that a bucket should hold, and the most buckets that one statement may answer with. */
const BUCKET_ROWS = 64;
const MOST_BUCKETS = 65_536;

/** Which bits of a row's hash choose its bucket. */
export interface Bucketing {
  /** How many there are; a power of two. */
  readonly buckets: number;
  /** Bits that are passed over, from the last one on. @default none */
  readonly shift?: number;
}

/** Some of the buckets, as set bits. */
export interface ChosenBuckets extends Bucketing {
  readonly chosen: Buffer;
}

/** A power of two, so that the bits of a hash choose the bucket. @param each rows that a bucket should hold. @default 64 */
export function bucketsFor(rows: number, each = BUCKET_ROWS): number {
  const wanted = Math.min(MOST_BUCKETS, Math.max(1, rows / each));
  return 2 ** Math.ceil(Math.log2(wanted));
}

/** What one side's rows add up to, bucket by bucket, however many statements they were read in. */
export class BucketSums {
  /** Rows of all buckets. */
  rows = 0;
  private readonly counts: Float64Array;
  private readonly sums: BigInt64Array;

  constructor(readonly by: Bucketing) {
    this.counts = new Float64Array(by.buckets);
    this.sums = new BigInt64Array(by.buckets);
  }

  /** Adds what a statement answered. Returns its rows. The low 64 bits of a sum are kept: they tell as much. */
  add(found: readonly (Sums & { readonly bucket: number })[]): number {
    const before = this.rows;
    for (const { bucket, rows, sum } of found) {
      this.counts[bucket] = (this.counts[bucket] as number) + Number(rows);
      this.sums[bucket] = (this.sums[bucket] as bigint) + BigInt.asIntN(64, BigInt(sum));
      this.rows += Number(rows);
    }
    return this.rows - before;
  }

  /** The buckets in which both sides differ, and the rows that the fuller side has in them. */
  differing(other: BucketSums): ChosenBuckets & { readonly rows: number } {
    const { buckets } = this.by;
    const chosen = Buffer.alloc(Math.max(1, buckets / 8));
    let rows = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      const [here, there] = [this.counts[bucket] as number, other.counts[bucket] as number];
      if (here === there && this.sums[bucket] === other.sums[bucket]) continue;
      rows += Math.max(here, there);
      chosen[bucket >> 3] = (chosen[bucket >> 3] as number) | (1 << (bucket & 7));
    }
    return { ...this.by, chosen, rows };
  }
}
