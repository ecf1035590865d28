/** What the clients of one kind saw. */
export interface ClientReport {
  readonly kind: string;
  /** What they wanted and got: transactions, or statements. */
  readonly done: number;
  readonly errors: number;
  /** By SQLSTATE, or by the system's code where the server said nothing. */
  readonly errorsBy: Readonly<Record<string, number>>;
  /** The longest time from wanting something to having it, errors and new connections included, since `mark`; ms. */
  readonly longestWaitMs: number;
}

/** Counts for the clients of one kind. */
export class ClientKind {
  private done = 0;
  private longestMs = 0;
  private readonly errors = new Map<string, number>();

  constructor(readonly name: string) {}

  served(waitMs: number): void {
    this.done += 1;
    this.longestMs = Math.max(this.longestMs, waitMs);
  }

  failed(error: string): void {
    this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
  }

  /** Forgets the longest wait, when something begins of which it is to be known. */
  mark(): void {
    this.longestMs = 0;
  }

  report(): ClientReport {
    return {
      kind: this.name,
      done: this.done,
      errors: [...this.errors.values()].reduce((sum, count) => sum + count, 0),
      errorsBy: Object.fromEntries(this.errors),
      longestWaitMs: Math.round(this.longestMs),
    };
  }
}
