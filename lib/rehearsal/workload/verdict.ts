import type { Version, Write } from './ledger';

/** What went wrong with a row: the first thing found counts, so that no row counts twice. */
export type Finding = 'lostRow' | 'lostUpdate' | 'revivedDelete' | 'ghostRow';

/** What is known of one row: the states it may be in, after every transaction that wrote it so far. */
export interface RowState {
  table: number;
  key: readonly string[];
  /** One state after an acknowledged write; more after unknown ones. */
  possible: Set<Version>;
  /** Whether a committed state with the row in it was ever seen, so that its coming back is a revival. */
  existed: boolean;
  /** What a later writer met in the row's place instead of a possible state. */
  finding?: { kind: Finding; expected: string; found: string } | undefined;
}

/** Takes one more transaction's write into the state of its row. */
export function follow(state: RowState | undefined, write: Write, acknowledged: boolean, byVersion: boolean): RowState {
  const [table, key, kind, before, after] = write;
  const next: RowState = state ?? { table, key, possible: new Set([before]), existed: before !== null };
  // The writer held the row's lock when it read this version: whatever is not possible here was lost before.
  next.finding ??= judge(next, before, byVersion);
  if (kind === 'observed') return next;
  if (acknowledged) next.possible = new Set([after]);
  else next.possible.add(after);
  if (before !== null) next.existed = true;
  if (after !== null && acknowledged) next.existed = true;
  return next;
}

/** Compares what was found with what is possible; undefined if it is right. */
export function judge(state: RowState, found: Version, byVersion: boolean): RowState['finding'] {
  const { possible, existed } = state;
  if (possible.has(found)) return undefined;
  const versions = [...possible].filter((version) => version !== null);
  if (!byVersion && found !== null && versions.length > 0) return undefined;
  const expected = [...possible].map((version) => version ?? 'absent').join(' or ');
  const kind = found === null ? 'lostRow' : versions.length > 0 ? 'lostUpdate' : existed ? 'revivedDelete' : 'ghostRow';
  return { kind, expected, found: found ?? 'absent' };
}
