import net from 'node:net';
import { Client, DatabaseError, type QueryResult } from 'pg';
import { setHashSettings } from '../../../assets/agent/row-hash';

/** The one address that the writers know. */
export interface Address {
  host: string;
  port: number;
  database: string;
  user: string;
  password?: string | undefined;
  /** @default no TLS */
  ssl?: { readonly rejectUnauthorized: boolean };
}

const connectTimeoutMs = 3_000;
const queryTimeoutMs = 10_000;
const begin = `BEGIN; ${setHashSettings('local')}; SET LOCAL lock_timeout = '5s'`;

/**
 * One connection of an application. Settings are made per transaction, so that any pooler may stand in between; no
 * statement is prepared by name, for the same reason.
 */
export class Session {
  readonly #client: Client;
  readonly #socket: net.Socket;

  private constructor(client: Client, socket: net.Socket) {
    this.#client = client;
    this.#socket = socket;
  }

  static async open(address: Address): Promise<Session> {
    const socket = new net.Socket();
    const client = new Client({
      ...address,
      application_name: 'ibex workload',
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: queryTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 2_000,
      stream: () => socket,
    });
    // The query under way is told as well, and that is where it is handled; an idle connection fails at its next use.
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new Session(client, socket);
  }

  /** The driver's client, for those who read the catalog with it. */
  get client(): Client {
    return this.#client;
  }

  async query<Row extends object>(text: string, values?: unknown[]): Promise<QueryResult<Row>> {
    return this.#client.query<Row>(text, values);
  }

  async begin(): Promise<void> {
    await this.#client.query(begin);
  }

  /** @returns false if the server rolled back instead, which it answers without an error. */
  async commit(): Promise<boolean> {
    return (await this.#client.query('COMMIT')).command === 'COMMIT';
  }

  /** @returns whether the session is good for another transaction. */
  async rollback(): Promise<boolean> {
    try {
      await this.#client.query('ROLLBACK');
      return true;
    } catch {
      return false;
    }
  }

  /** Drops the connection at once, without a word to the server, which may be gone. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Says goodbye, but waits no longer than a second for it. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.#socket.destroy(), 1_000);
    await this.#client.end().catch(() => undefined);
    clearTimeout(timer);
    this.#socket.destroy();
  }
}

/** The SQLSTATE, or the system's code, or a word for what the driver says in prose only. */
export function errorKind(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code === 'string') return code;
  return /timeout/i.test(String(error)) ? 'timeout' : 'connection lost';
}

/**
 * Whether the server itself said that the statement failed, and goes on with the session: then a COMMIT that met it did
 * not happen. A FATAL error, a pooler's (08…), a time-out or a lost connection leaves that open.
 */
export const isVerdict = (error: unknown): error is DatabaseError =>
  error instanceof DatabaseError && error.severity === 'ERROR' && !/^(08|57P|58|XX)/.test(error.code ?? '08');

/** Not the operation's fault: contention, time-outs, and the fence (25006). */
const passing = /^(25006|25P|40|55P03|57014|53)/;

/** Whether the database refuses this very operation: a constraint, a type, a privilege, a trigger's exception. */
export const isRefusal = (error: unknown): error is DatabaseError =>
  isVerdict(error) && !passing.test(error.code ?? '25006');
