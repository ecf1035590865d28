import { setTimeout as sleep } from 'node:timers/promises';
import type { Pace, Paced } from './paced';
import type { Verdict } from './readings';

/** Looks in a row that find nothing may move, after which what holds a snapshot gives its work back. */
const LONG_PAUSE_LOOKS = 10;

/** Longest wait that one piece is asked for, so that a pause is looked at again; milliseconds. */
const PIECE_MS = 1_000;

/** Tells one kind of work how fast it may go, by what was found at the last look. */
export class Gauge implements Paced {
  pace: Pace = 'free';
  private off: Error | undefined;
  protected closed = false;
  private verdict: Omit<Verdict, 'pace'> = { reason: '' };
  private stillLooks = 0;
  private lastPiece = performance.now();

  /** @param lookMs time between two looks; milliseconds */
  constructor(protected readonly lookMs: number) {}

  get draining(): Paced {
    return this;
  }

  /** Says what was found. */
  show(pace: Pace, verdict: Omit<Verdict, 'pace'>): void {
    this.pace = pace;
    this.verdict = verdict;
    this.stillLooks = this.standsStill ? this.stillLooks + 1 : 0;
  }

  /** Says that capture was taken off, and with which words. */
  end(off: Error): void {
    this.off = off;
  }

  /** Lets everybody go on: nobody looks any more. */
  release(): void {
    this.closed = true;
  }

  readonly wait = (): number => {
    const now = performance.now();
    const worked = now - this.lastPiece;
    this.lastPiece = now;
    if (this.off !== undefined || this.standsStill) return PIECE_MS;
    // As long as the last piece took: half speed.
    return this.pace === 'slow' ? Math.min(PIECE_MS, Math.max(1, worked)) : 0;
  };

  readonly clear = async (): Promise<void> => {
    for (;;) {
      if (this.off !== undefined) throw this.off;
      if (!this.standsStill || this.closed) return;
      await sleep(this.lookMs / 4);
    }
  };

  readonly throwIfOff = (): void => {
    if (this.off !== undefined) throw this.off;
  };

  readonly waiter = (holder: number | string): string | undefined =>
    this.verdict.waits?.find(({ holders }) =>
      holders.some(({ pid, application }) => pid === holder || `${application} `.startsWith(`${holder} `)),
    )?.who;

  readonly longPause = (): string | undefined => (this.stillLooks > LONG_PAUSE_LOOKS ? this.verdict.reason : undefined);

  private get standsStill(): boolean {
    return this.pace === 'paused' || this.pace === 'yield';
  }
}
