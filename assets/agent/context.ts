import { mkdirSync } from 'node:fs';
import type { Client } from 'pg';
import type { AgentConfig } from './config';
import { connectTo } from './connect';
import { endpointOf, type Endpoint, type Server } from './endpoints';
import { openLog, type Logger } from './log';
import { ProgressReport } from './progress';
import { State } from './state';

/** What every phase works with: settings, state, log, progress, and connections that are closed when it ends. */
export class Context {
  private readonly endpoints = new Map<Server, Promise<Endpoint>>();
  private readonly open = new Set<Client>();

  private constructor(
    readonly config: AgentConfig,
    readonly phase: string,
    readonly state: State,
    readonly log: Logger,
    readonly progress: ProgressReport,
  ) {}

  static async create(config: AgentConfig, phase: string): Promise<Context> {
    const { stateDirectory, runDirectory } = config.host;
    mkdirSync(stateDirectory, { recursive: true });
    mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    const log = openLog(stateDirectory, phase);
    const state = await State.open(config.host);
    return new Context(config, phase, state, log, new ProgressReport(stateDirectory, phase));
  }

  /** Address and login of one end; the secret is read once a command. */
  endpoint(end: Server): Promise<Endpoint> {
    const known = this.endpoints.get(end);
    if (known) return known;
    const found = endpointOf(this.config, end);
    this.endpoints.set(end, found);
    return found;
  }

  /** A new session on one end. */
  async connect(end: Server, purpose: string = this.phase): Promise<Client> {
    const client = await connectTo(await this.endpoint(end), purpose);
    this.open.add(client);
    client.once('end', () => this.open.delete(client));
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
    await Promise.allSettled([...this.open].map((client) => client.end()));
    await this.state.close().catch(() => undefined);
  }
}
