import { mkdirSync } from 'node:fs';
import type { Client } from 'pg';
import { UNBRAKED, type Paced } from './brake/paced';
import type { AgentConfig } from './config';
import { connectTo } from './connect';
import { endpointOf, type Direction, type End, type Endpoint, type Server } from './endpoints';
import { Failure } from './errors';
import { openLog, type Logger } from './log';
import { ProgressReport } from './progress';
import { openStateSession, State } from './state';

/** What contexts of both directions share: one session each is enough, and one end closes all. */
interface Shared {
  readonly endpoints: Map<Server, Promise<Endpoint>>;
  readonly open: Set<Client>;
  closed: boolean;
}

/** On the way back, what is acknowledged to stay behind is left out. */
function configFacing(config: AgentConfig, direction: Direction): AgentConfig {
  const { leftOut: _, ...plain } = config;
  return direction === 'forward' ? plain : { ...plain, leftOut: config.cutover.wayBackWithout };
}

/** What every phase works with: settings, state, log, progress, and connections that are closed when it ends. */
export class Context {
  /** What holds the work up while source or host are in need; set by who runs the phase. */
  brake: Paced = UNBRAKED;

  private constructor(
    readonly config: AgentConfig,
    readonly phase: string,
    /** Facts and counters are those of the direction; phases and evidence are the migration's. */
    readonly state: State,
    readonly log: Logger,
    readonly progress: ProgressReport,
    /** Which way writes are moved. */
    readonly direction: Direction,
    private readonly shared: Shared,
  ) {}

  static async create(config: AgentConfig, phase: string, direction: Direction = 'forward'): Promise<Context> {
    const { stateDirectory, runDirectory } = config.host;
    mkdirSync(stateDirectory, { recursive: true });
    mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    const log = openLog(stateDirectory, phase);
    const state = (await State.open(config.host)).facing(direction);
    const progress = new ProgressReport(stateDirectory, phase);
    return new Context(configFacing(config, direction), phase, state, log, progress, direction, {
      endpoints: new Map(),
      open: new Set(),
      closed: false,
    });
  }

  /** The same in the other direction: its `source` is this one's `target`. Closed together with this one. */
  turned(): Context {
    const { phase, log, progress, shared } = this;
    const direction = this.direction === 'forward' ? 'back' : 'forward';
    const config = configFacing(this.config, direction);
    return new Context(config, phase, this.state.facing(direction), log, progress, direction, shared);
  }

  /** The end of the settings that plays this part in the present direction, for whoever must know the machine. */
  real(end: End): End {
    if (this.direction === 'forward') return end;
    return end === 'source' ? 'target' : 'source';
  }

  /** Address and login of one end; the secret is read once a command. */
  endpoint(end: Server): Promise<Endpoint> {
    const real = end === 'dumpSource' ? end : this.real(end);
    const known = this.shared.endpoints.get(real);
    if (known) return known;
    const found = endpointOf(this.config, real);
    this.shared.endpoints.set(real, found);
    return found;
  }

  /** A new session on one end; `mayBeStandby` as in `connectTo`. Throws Failure once this is closed. */
  connect(end: Server, purpose: string = this.phase, mayBeStandby?: boolean): Promise<Client> {
    return this.opened(`the ${end}`, async () => connectTo(await this.endpoint(end), purpose, mayBeStandby));
  }

  /**
   * A further session on Ibex's own database on the host, for marks that must be durable before something else is. Throws
   * Failure once this is closed.
   */
  connectMemory(): Promise<Client> {
    return this.opened("the host's PostgreSQL", () => openStateSession(this.config.host));
  }

  /** A session that nobody closed would keep the program from ending, and work that nobody waits for from ending with us. */
  private async opened(where: string, connect: () => Promise<Client>): Promise<Client> {
    const { shared } = this;
    const client = shared.closed ? undefined : await connect();
    if (client === undefined || shared.closed) {
      await client?.end().catch(() => undefined);
      throw new Failure(`cannot connect to ${where}: ${this.phase} has ended`);
    }
    shared.open.add(client);
    client.once('end', () => shared.open.delete(client));
    return client;
  }

  /** Runs work with a session of its own, which is closed afterwards, whatever happens. */
  async with<T>(end: Server, work: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.connect(end);
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Keeps a gate's question and answer, and writes it to the log. */
  async evidence(gate: string, passed: boolean, query: string, result: unknown): Promise<void> {
    this.log.info({ gate, passed, result }, 'gate');
    await this.state.evidence(this.phase, gate, passed, query, result);
  }

  async close(): Promise<void> {
    this.shared.closed = true;
    await Promise.allSettled([...this.shared.open].map((client) => client.end()));
    await this.state.close().catch(() => undefined);
  }
}
