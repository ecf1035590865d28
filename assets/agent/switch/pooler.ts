import type { End } from '../endpoints';
import { Failure, oneLine } from '../errors';
import type { PoolerConfig } from './config';
import { Console, type ConsoleAddress, type ConsoleLogin, type HeldClients } from './console';
import type { Time } from './in-time';

/** Two sessions with one pooler: a PAUSE that waits keeps its session busy, so it takes another one to call it off. */
interface Sessions {
  readonly address: ConsoleAddress;
  pausing: Console;
  readonly leading: Console;
}

/**
 * All poolers as one switch: hold the clients' transactions, lead them to the other side, let them go on. Connected
 * ahead, so that a pause holds no connecting. Where a pause is not ended, because this program is gone, each pooler ends
 * it by itself (`watch` of pooler.sh) on the side that it is on.
 */
export class Poolers {
  /** Whom a pause that was called off had kept waiting. */
  private calledOff: readonly HeldClients[] = [];

  private constructor(
    private readonly sessions: readonly Sessions[],
    private readonly open: (address: ConsoleAddress) => Promise<Console>,
  ) {}

  /** Connects to every pooler. Throws Failure that names one that cannot be reached. */
  static async connect(config: Pick<PoolerConfig, 'consoles' | 'database'>, login: ConsoleLogin): Promise<Poolers> {
    const opened: Console[] = [];
    const open = async (address: ConsoleAddress): Promise<Console> => {
      const console = await Console.connect(address, login, config.database);
      opened.push(console);
      return console;
    };
    try {
      const sessions = await all(config.consoles, async (address) => {
        const [pausing, leading] = [await open(address), await open(address)];
        return { address, pausing, leading };
      });
      return new Poolers(sessions, open);
    } catch (error) {
      for (const console of opened) console.close();
      throw error;
    }
  }

  /** The side of each pooler, by its name. */
  async sides(): Promise<Record<string, End | undefined>> {
    const sides = await all(this.sessions, async ({ leading }) => [leading.name, await leading.side()] as const);
    return Object.fromEntries(sides);
  }

  /**
   * Holds back every new transaction and waits for those that run. Throws Failure, with all poolers resumed, when one of
   * them does not end within the time; nobody has noticed more than a wait then.
   */
  async pause({ signal, left }: Time): Promise<void> {
    const timeoutMs = Math.round(left());
    const waiting = new Set(this.sessions.map(({ pausing }) => pausing.name));
    const paused = all(this.sessions, async ({ pausing }) => {
      await pausing.pause();
      waiting.delete(pausing.name);
    });
    const { promise: late, reject } = withRejection();
    const tell = (): void => {
      const where = [...waiting].join(', ');
      reject(
        new Failure(
          `transactions on ${where} did not end within ${timeoutMs} ms; end the longest ones, or wait for them`,
        ),
      );
    };
    signal.addEventListener('abort', tell, { once: true });
    try {
      await Promise.race([paused, late]);
    } catch (error) {
      paused.catch(() => undefined);
      this.calledOff = await all(this.sessions, ({ leading }) => leading.held()).then(
        (held) => held.flat(),
        () => [],
      );
      await this.resume();
      await this.renew();
      throw error;
    } finally {
      signal.removeEventListener('abort', tell);
    }
  }

  /** Who waits: now, or did when a pause was called off. Asked on the sessions that let nobody go on, so that none waits for it. */
  async held(): Promise<readonly HeldClients[]> {
    const now = await all(this.sessions, ({ pausing }) => pausing.held());
    return [...now.flat(), ...this.calledOff];
  }

  /** Leads every pooler to a side. May be repeated; whoever is there already stays. */
  async lead(side: End): Promise<void> {
    await all(this.sessions, ({ leading }) => leading.lead(side));
  }

  /** Lets transactions run on every pooler, paused or not. */
  async resume(): Promise<void> {
    await all(this.sessions, ({ leading }) => leading.resume());
  }

  /** The session that is not busy with a PAUSE. */
  session({ host, port }: ConsoleAddress): Console | undefined {
    return this.sessions.find(({ address }) => address.host === host && address.port === port)?.leading;
  }

  /** Ends the sessions; nothing changes on the poolers. */
  close(): void {
    for (const { pausing, leading } of this.sessions) {
      pausing.close();
      leading.close();
    }
  }

  /** New sessions for those whose PAUSE was called off. */
  private async renew(): Promise<void> {
    await all(this.sessions, async (sessions) => {
      sessions.pausing.close();
      sessions.pausing = await this.open(sessions.address);
    });
  }
}

/** Does all of it even if one fails, then throws with every cause: no pooler is left out because of another. */
export async function all<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const settled = await Promise.allSettled(items.map(work));
  const causes = settled.flatMap((each) => (each.status === 'rejected' ? [oneLine(each.reason)] : []));
  if (causes.length > 0) throw new Failure(causes.join('; '));
  return settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}

function withRejection(): { readonly promise: Promise<never>; readonly reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<never>((_, fail) => (reject = fail));
  promise.catch(() => undefined);
  return { promise, reject };
}
