import { setTimeout as sleep } from 'node:timers/promises';
import { isPassing } from '../lost';

/** Pauses between tries of work whose server is gone; milliseconds. A failover takes a minute. */
export const PAUSES_MS: readonly number[] = [200, 1_000, 3_000, 10_000, 20_000, 30_000, 30_000];

/** What is opened: one session, or several. */
export interface Closable {
  end(): Promise<unknown>;
}

/** A session that is opened when it is needed, thrown away after any failure, and opened anew where that may help. */
export class Reconnecting<Session extends Closable> {
  private session: Session | undefined;

  /** @param pauses between tries; as many tries follow the first one. @default a minute and a half */
  constructor(
    private readonly open: () => Promise<Session>,
    private readonly pauses: readonly number[] = PAUSES_MS,
  ) {}

  /**
   * Runs work, which must bear being run again from its beginning, until it succeeds or fails for good.
   *
   * @param interrupted told of each failure that is followed by another try
   */
  async run<T>(
    work: (session: Session) => Promise<T>,
    interrupted: (error: unknown, pause: number) => void = () => undefined,
  ): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        this.session ??= await this.open();
        return await work(this.session);
      } catch (error) {
        await this.close();
        const pause = this.pauses[attempt];
        if (pause === undefined || !isPassing(error)) throw error;
        interrupted(error, pause);
        await sleep(pause);
      }
    }
  }

  async close(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    await session?.end().catch(() => undefined);
  }
}
