import type { State } from '../state';
import type { Finding, Verdict } from './finding';
import type { Look } from './look';

/** Fact of when the target was opened by the newest cutover; each has a watch of its own. */
export const OPENED_FACT = 'cutover.openedAt';

/** Fact of the watch: how far it is and what it found, and so its report. */
export const WATCH_FACT = 'watch.record';

/** Fact with the `OPENED_FACT` of the cutover whose watch somebody ended by hand. */
export const STOP_FACT = 'watch.stop';

/** How one check fared over the looks so far. */
export interface Tally {
  readonly ok: number;
  readonly warn: number;
  readonly bad: number;
  /** What it said last. */
  readonly last: Finding;
  /** The newest of its worst findings, with its time; absent while all were ok. */
  readonly worst?: Finding & { readonly at: string };
}

/** A rollback that the watch decided on. */
export interface Decision {
  readonly at: string;
  readonly why: string;
  /** What became of it; absent as long as it is not known. */
  readonly outcome?: string;
}

/** What is remembered of the watch of one cutover, over every restart. */
export interface WatchRecord {
  /** `OPENED_FACT` of its cutover. */
  readonly cutover: string;
  /** Time that was watched; what passes while nobody looks does not count. Seconds. */
  readonly watchedSeconds: number;
  readonly looks: number;
  readonly badLooks: number;
  readonly checks: Readonly<Record<string, Tally>>;
  readonly decisions: readonly Decision[];
  /** How it ended; absent while it has not. */
  readonly ended?: string;
}

export const newRecord = (cutover: string): WatchRecord => ({
  cutover,
  watchedSeconds: 0,
  looks: 0,
  badLooks: 0,
  checks: {},
  decisions: [],
});

/** The watch of the newest cutover, begun or not. */
export async function readRecord(state: State): Promise<WatchRecord> {
  const cutover = (await state.fact<string>(OPENED_FACT)) ?? 'unknown';
  const known = await state.fact<WatchRecord | null>(WATCH_FACT);
  return known?.cutover === cutover ? known : newRecord(cutover);
}

const RANK: Readonly<Record<Verdict, number>> = { ok: 0, warn: 1, bad: 2 };

/** The record with one more look in it. @param at of the look, as ISO 8601 */
export function withLook(record: WatchRecord, look: Look, seconds: number, at: string): WatchRecord {
  const checks: Record<string, Tally> = { ...record.checks };
  for (const [name, finding] of look) {
    const before = checks[name] ?? { ok: 0, warn: 0, bad: 0 };
    const { worst } = checks[name] ?? {};
    const isWorst = finding.verdict !== 'ok' && RANK[finding.verdict] >= RANK[worst?.verdict ?? 'ok'];
    checks[name] = {
      ok: before.ok,
      warn: before.warn,
      bad: before.bad,
      [finding.verdict]: before[finding.verdict] + 1,
      last: finding,
      ...(isWorst ? { worst: { ...finding, at } } : worst && { worst }),
    };
  }
  const isBad = [...look.values()].some(({ verdict }) => verdict === 'bad');
  return {
    ...record,
    watchedSeconds: record.watchedSeconds + seconds,
    looks: record.looks + 1,
    badLooks: record.badLooks + (isBad ? 1 : 0),
    checks,
  };
}

/** The watch in one line: how long, how many looks, and the worst of each check that was not always well. */
export function summaryOf({ watchedSeconds, looks, badLooks, checks }: WatchRecord): string {
  const worst = Object.entries(checks).flatMap(([name, tally]) =>
    tally.worst ? [`${name} ${countsOf(tally)}, ${tally.worst.figure}: ${tally.worst.cause ?? ''}`] : [],
  );
  const bad = badLooks === 0 ? 'none bad' : `${badLooks} bad`;
  return [`${looks} looks in ${Math.round(watchedSeconds)} s, ${bad}`, ...worst].join('; ');
}

const countsOf = ({ warn, bad }: Tally): string =>
  [bad > 0 ? `bad ${bad} times` : '', warn > 0 ? `warned ${warn} times` : ''].filter(Boolean).join(' and ');
