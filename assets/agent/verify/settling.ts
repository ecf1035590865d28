import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { DifferenceTally, type KeyDifference } from './comparison';
import { differenceOf, type KeyStates, type RowState } from './pending';

/** How long and how often a key is looked at again. */
export interface Patience {
  /** How long a change may be on its way; seconds. */
  readonly settleSeconds: number;
  /** Time between two looks at a key; milliseconds. @default 250 */
  readonly intervalMs?: number;
}

/** Who is told what was decided; the next look waits for them. */
export interface Told {
  /** Called with keys that are proven different. */
  readonly onProven?: (differences: readonly KeyDifference[]) => Promise<void>;
  /** Called with keys that were still changing when the patience for them ended. */
  readonly onInFlight?: (keys: readonly (readonly string[])[]) => Promise<void>;
}

interface Candidate {
  readonly key: readonly string[];
  /** When the difference was first seen; milliseconds of the monotonic clock. */
  readonly since: number;
  looks: number;
  /** Consecutive looks in which the source's row was the same, nothing was pending and the target disagreed. */
  strikes: number;
  last: string | null;
}

type Verdict = 'equal' | 'again' | 'in flight' | 'different';

/** Looks in a row that prove a difference. The second would do, but for a row that changes there and back in between. */
const STRIKES = 3;
/** Keys in one statement. */
const BATCH = 500;
/** Candidates kept at once; more are only taken when some have been decided. */
const MOST_CANDIDATES = 10_000;

/**
 * Decides of keys that were found different while changes go on: the target agrees in the end, or is proven different,
 * or the change is still on its way when the patience ends.
 */
export class Settling {
  readonly proven = new DifferenceTally();
  /** Keys that were still changing when the patience for them ended. */
  inFlight = 0;
  private candidates: Candidate[] = [];
  private lookedAt = -Infinity;
  private readonly intervalMs: number;

  constructor(
    private readonly source: Client,
    private readonly target: Client,
    private readonly states: KeyStates,
    private readonly patience: Patience,
    private readonly told: Told = {},
  ) {
    this.intervalMs = patience.intervalMs ?? 250;
  }

  async add(differences: readonly KeyDifference[]): Promise<void> {
    const since = performance.now();
    for (const { key } of differences) this.candidates.push({ key, since, looks: 0, strikes: 0, last: null });
    while (this.candidates.length > MOST_CANDIDATES) await this.lookAgain();
  }

  /** Looks at all candidates, unless that was done a moment ago. */
  async lookIfDue(): Promise<void> {
    if (performance.now() - this.lookedAt >= this.intervalMs) await this.look();
  }

  /** Returns when every key is decided. */
  async finish(): Promise<void> {
    while (this.candidates.length > 0) await this.lookAgain();
  }

  private async lookAgain(): Promise<void> {
    const wait = this.lookedAt + this.intervalMs - performance.now();
    if (wait > 0) await sleep(wait);
    await this.look();
  }

  private async look(): Promise<void> {
    const candidates = this.candidates;
    const open: Candidate[] = [];
    for (let from = 0; from < candidates.length; from += BATCH) {
      const batch = candidates.slice(from, from + BATCH);
      const keys = batch.map((candidate) => candidate.key);
      // The target first: what the source then calls applied may be newer than this look, but not than the next.
      const there = await this.states.onTarget(this.target, keys);
      const here = await this.states.onSource(this.source, keys);
      const proven: KeyDifference[] = [];
      const undecided: (readonly string[])[] = [];
      batch.forEach((candidate, i) => {
        const verdict = this.judge(candidate, here[i] as RowState, there[i] as RowState);
        if (verdict === 'again') open.push(candidate);
        else if (verdict === 'in flight') undecided.push(candidate.key);
        else if (verdict !== 'equal') {
          proven.push(differenceOf(candidate.key, here[i] as RowState, there[i] as RowState));
        }
      });
      this.proven.add(proven);
      this.inFlight += undecided.length;
      if (proven.length > 0) await this.told.onProven?.(proven);
      if (undecided.length > 0) await this.told.onInFlight?.(undecided);
    }
    this.candidates = open;
    this.lookedAt = performance.now();
  }

  private judge(candidate: Candidate, here: RowState, there: RowState): Verdict {
    if (here.hash === there.hash) return 'equal';
    candidate.looks++;
    if (here.pending) candidate.strikes = 0;
    else candidate.strikes = candidate.strikes > 0 && candidate.last === here.hash ? candidate.strikes + 1 : 1;
    candidate.last = here.hash;
    if (candidate.strikes >= STRIKES) return 'different';
    const patient = performance.now() - candidate.since < this.patience.settleSeconds * 1000;
    const undecided = candidate.strikes > 1 || candidate.looks < STRIKES;
    return patient || undecided ? 'again' : 'in flight';
  }
}
