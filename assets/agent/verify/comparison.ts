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
  /** Time that workers spent on it; of one that several were at, the sum of theirs. */
  readonly seconds: number;
}

/** How many keys a comparison keeps of one relation; beyond it differences are only counted. */
export const KEPT_KEYS = 1000;

/** Rows that differ, of every kind. */
export const differing = (counts: DifferenceCounts): number =>
  counts['missing on target'] + counts['extra on target'] + counts.different;

/** Joins what was found in the parts of each relation. */
export function joinComparisons(parts: readonly RelationComparison[]): RelationComparison[] {
  const joined = new Map<string, RelationComparison>();
  for (const part of parts) {
    const known = joined.get(part.relation);
    joined.set(part.relation, known === undefined ? part : join(known, part));
  }
  return [...joined.values()];
}

const join = (a: RelationComparison, b: RelationComparison): RelationComparison => ({
  relation: a.relation,
  sourceRows: a.sourceRows + b.sourceRows,
  targetRows: a.targetRows + b.targetRows,
  chunks: a.chunks + b.chunks,
  differences: {
    'missing on target': a.differences['missing on target'] + b.differences['missing on target'],
    'extra on target': a.differences['extra on target'] + b.differences['extra on target'],
    different: a.differences.different + b.differences.different,
  },
  inFlight: a.inFlight + b.inFlight,
  keys: [...a.keys, ...b.keys].slice(0, KEPT_KEYS),
  seconds: a.seconds + b.seconds,
});

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
