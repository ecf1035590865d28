/** A stretch of time in which somebody wanted to write and nobody's write was acknowledged. */
export interface Pause {
  /** Length in ms, from a monotonic clock. */
  longestMs: number;
  /** When it began, in ms since the epoch on the monotonic clock of `clock()`; undefined if there was none. */
  at: number | undefined;
}

/** Milliseconds since the epoch that never jump: the wall clock at the start of the process, counted on. */
export const clock = (): number => performance.timeOrigin + performance.now();

/** Gaps shorter than this are the ordinary spacing of writes and not remembered one by one. */
const rememberedMs = 25;
const rememberedGaps = 4_000;

/** Measures write pauses as all writers together saw them; an idle stretch in which nobody wanted to write is none. */
export class Pauses {
  #wanting = 0;
  #since = 0;
  #gaps: { from: number; to: number }[] = [];

  constructor(readonly now: () => number = clock) {}

  /** A writer starts to want a write. Every call is followed by one of `acknowledged` or `gaveUp`. */
  wanted(): void {
    if (this.#wanting === 0) this.#since = this.now();
    this.#wanting += 1;
  }

  /** Its write was acknowledged: whatever pause there was ends here. */
  acknowledged(): void {
    const now = this.now();
    if (now - this.#since >= rememberedMs) this.#remember({ from: this.#since, to: now });
    this.#since = now;
    this.#wanting -= 1;
  }

  /** It wants no longer, without an acknowledged write: the pause of the others goes on. */
  gaveUp(): void {
    this.#wanting -= 1;
    if (this.#wanting === 0) this.#remember({ from: this.#since, to: this.now() });
  }

  /** The longest pause that ended after the instant (default: of all time); one that still lasts counts up to now. */
  longest(since = 0): Pause {
    return longestOf(this.#all().filter((gap) => gap.to > since));
  }

  /** The longest pause that touches the second before and after an instant of `clock()`. */
  around(instant: number): Pause {
    return longestOf(this.#all().filter((gap) => gap.from <= instant + 1_000 && gap.to >= instant - 1_000));
  }

  #all(): { from: number; to: number }[] {
    return this.#wanting > 0 ? [...this.#gaps, { from: this.#since, to: this.now() }] : this.#gaps;
  }

  #remember(gap: { from: number; to: number }): void {
    this.#gaps.push(gap);
    if (this.#gaps.length <= rememberedGaps) return;
    this.#gaps.sort((a, b) => b.to - b.from - (a.to - a.from));
    this.#gaps.length = rememberedGaps / 2;
  }
}

function longestOf(gaps: { from: number; to: number }[]): Pause {
  let longest: Pause = { longestMs: 0, at: undefined };
  for (const { from, to } of gaps) if (to - from > longest.longestMs) longest = { longestMs: to - from, at: from };
  return longest;
}
