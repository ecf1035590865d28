/** How fast rows may move: as they like, at half speed, not at all. */
export type Pace = 'free' | 'slow' | 'paused';

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
}

/** Nothing is ever held up. */
export const UNBRAKED: Paced = {
  pace: 'free',
  wait: () => 0,
  clear: () => Promise.resolve(),
  throwIfOff: () => undefined,
};
