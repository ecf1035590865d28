/**
 * How fast rows may move: as they like, at half speed, not at all; `yield` is that somebody waits for a lock of ours, and
 * gets it only when the work that holds it has ended.
 */
export type Pace = 'free' | 'slow' | 'paused' | 'yield';

/** What moves rows and must be told of the brake. */
export interface Paced {
  /** How fast rows may move now. */
  readonly pace: Pace;
  /** How long to wait before the next piece of a COPY is read; milliseconds. */
  readonly wait: () => number;
  /** Resolves as soon as new work may begin. Throws Failure when capture was taken off. */
  readonly clear: () => Promise<void>;
  /** Throws Failure when capture was taken off. */
  readonly throwIfOff: () => void;
  /** Who waits too long for a lock of a session of ours, given by its pid or the first words of its name; undefined when nobody does. */
  readonly waiter: (holder: number | string) => string | undefined;
  /** Why nothing may move, once that is so for so long that no snapshot is to be held meanwhile; undefined before. */
  readonly longPause: () => string | undefined;
  /** The same for work that makes the captured changes fewer: that they grow fast is no reason to hold it up. */
  readonly draining: Paced;
}

/** Nothing is ever held up. */
export const UNBRAKED: Paced = {
  pace: 'free',
  wait: () => 0,
  clear: () => Promise.resolve(),
  throwIfOff: () => undefined,
  waiter: () => undefined,
  longPause: () => undefined,
  get draining() {
    return UNBRAKED;
  },
};
