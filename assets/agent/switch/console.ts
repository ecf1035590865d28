import { Socket } from 'node:net';
import { Client, type QueryConfig } from 'pg';
import { endWith, type End } from '../endpoints';
import { Failure, oneLine } from '../errors';

/** Where one pooler's console is. */
export interface ConsoleAddress {
  readonly host: string;
  readonly port: number;
}

/** User and password of the consoles. */
export interface ConsoleLogin {
  readonly username: string;
  readonly password: string;
}

/** Clients of one kind whom a pooler keeps waiting. */
export interface HeldClients {
  /** Who keeps them, for messages. */
  readonly where: string;
  readonly user: string;
  /** `application_name`; empty where the client gives none, or the pooler does not tell. */
  readonly application: string;
  readonly sessions: number;
  /** Wait so far of the one that waits longest; milliseconds. */
  readonly longestMs: number;
}

/** Where pooler.sh puts the configuration of a side, on the pooler. */
export const configurationFile = (side: End): string => `/run/ibex-pooler/${side}.ini`;

const CONNECT_TIMEOUT_MS = 5_000;
/** Longest wait for the answer to anything but PAUSE; milliseconds. */
const COMMAND_TIMEOUT_MS = 3_000;

/** The console of one PgBouncer: its commands as methods, its answers as values. */
export class Console {
  /** Address, for messages. */
  readonly name: string;

  private constructor(
    private readonly client: Client,
    private readonly socket: Socket,
    { host, port }: ConsoleAddress,
    private readonly database: string,
  ) {
    this.name = `pooler ${host}:${port}`;
  }

  /**
   * Connects, with TLS: the certificate is the pooler's own and cannot be checked, SCRAM proves either end to the other.
   * Throws Failure that names the pooler.
   *
   * @param database the clients' database
   */
  static async connect(address: ConsoleAddress, login: ConsoleLogin, database: string): Promise<Console> {
    const socket = new Socket();
    const client = new Client({
      ...address,
      stream: () => socket,
      user: login.username,
      password: login.password,
      database: 'pgbouncer',
      ssl: { rejectUnauthorized: false },
      keepAlive: true,
      keepAliveInitialDelayMillis: 30_000,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    const console = new Console(client, socket, address, database);
    // A connection that breaks while nothing is asked shows at the next command.
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      throw new Failure(
        `${console.name} lets nobody command it: ${oneLine(error)}; look at its units ibex-pooler and ibex-pooler-console`,
      );
    }
    return console;
  }

  /**
   * Holds back new transactions; returns when those that run have ended. Another session may call it off by `resume`;
   * PgBouncer 1.24 never answers this one then, so it is to be closed.
   */
  async pause(): Promise<void> {
    await this.command(`PAUSE ${this.database}`, 0);
  }

  /** Lets transactions run again; nothing happens where they already may. */
  async resume(): Promise<void> {
    if (await this.isPaused()) await this.command(`RESUME ${this.database}`);
  }

  /** Leads the clients to a side from their next transaction on. Throws Failure when the pooler is not there then. */
  async lead(side: End): Promise<void> {
    await this.command(`SET conffile = '${configurationFile(side)}'`);
    await this.command('RELOAD');
    const now = await this.side();
    if (now !== side) throw new Failure(`${this.name} is on ${now ?? 'no known side'} after it was told ${side}`);
  }

  /** The side whose configuration is in force; undefined for a file that is not ours. */
  async side(): Promise<End | undefined> {
    const rows = await this.command('SHOW CONFIG');
    const file = rows.find((row) => row['key'] === 'conffile')?.['value'];
    return endWith({ source: configurationFile('source'), target: configurationFile('target') }, file);
  }

  async isPaused(): Promise<boolean> {
    const rows = await this.command('SHOW DATABASES');
    return rows.some((row) => row['name'] === this.database && Number(row['paused']) === 1);
  }

  /** Everybody who waits for a server now, by user and application; changes nothing. */
  async held(): Promise<HeldClients[]> {
    const kinds = new Map<string, HeldClients>();
    for (const row of await this.command('SHOW CLIENTS')) {
      if (row['database'] !== this.database || !String(row['state']).startsWith('waiting')) continue;
      const [user, application] = [String(row['user'] ?? ''), String(row['application_name'] ?? '')];
      const waits = Number(row['wait'] ?? 0) * 1000 + Number(row['wait_us'] ?? 0) / 1000;
      const kind = JSON.stringify([user, application]);
      const { sessions = 0, longestMs = 0 } = kinds.get(kind) ?? {};
      kinds.set(kind, { where: this.name, user, application, sessions: sessions + 1, longestMs: Math.max(longestMs, waits) }); // prettier-ignore
    }
    return [...kinds.values()];
  }

  /** Ends the session at once, also one that waits for an answer: PgBouncer reads no farewell from such a one. */
  close(): void {
    this.socket.destroy();
  }

  private async command(text: string, timeoutMs = COMMAND_TIMEOUT_MS): Promise<Record<string, unknown>[]> {
    try {
      const query: QueryConfig & { query_timeout: number } = { text, query_timeout: timeoutMs };
      return (await this.client.query<Record<string, unknown>>(query)).rows;
    } catch (error) {
      throw new Failure(`${this.name} refuses ${text}: ${oneLine(error)}`);
    }
  }
}
