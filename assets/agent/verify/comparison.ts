/** How a row of one end relates to the row of the same key at the other. */
export type DifferenceKind = 'missing on target' | 'extra on target' | 'different';

/** One key whose rows are not equal on both ends. */
export interface KeyDifference {
  readonly kind: DifferenceKind;
  /** The key's columns as text, in the key's order; of a relation without a usable key, the row's hash alone. */
  readonly key: readonly string[];
  /** Hash of the row on the source; absent when there is none. */
  readonly sourceHash?: string;
  /** Hash of the row on the target; absent when there is none. */
  readonly targetHash?: string;
}

/** Rows by kind of difference. */
export type DifferenceCounts = Readonly<Record<DifferenceKind, number>>;

/** What the comparison of one relation found. */
export interface RelationComparison {
  /** Quoted name. */
  readonly relation: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  /** Statements of sums that were run on each end. */
  readonly chunks: number;
  /** Exact counts, however many there are. */
  readonly differences: DifferenceCounts;
  /** Rows that were still on their way when the patience for them ended; only in a live comparison. */
  readonly inFlight: number;
  /** The first of the keys that differ; at most `KEPT_KEYS`. */
  readonly keys: readonly KeyDifference[];
  readonly seconds: number;
}

/** How many keys a comparison keeps of one relation; beyond it differences are only counted. */
export const KEPT_KEYS = 1000;

/** Rows that differ, of every kind. */
export const differing = (counts: DifferenceCounts): number =>
  counts['missing on target'] + counts['extra on target'] + counts.different;

/** Counts differences exactly and keeps the first of them, so that memory stays flat. */
export class DifferenceTally {
  readonly counts = { 'missing on target': 0, 'extra on target': 0, different: 0 };
  readonly keys: KeyDifference[] = [];

  add(differences: readonly KeyDifference[]): void {
    for (const difference of differences) {
      this.counts[difference.kind]++;
      if (this.keys.length < KEPT_KEYS) this.keys.push(difference);
    }
  }
}
