import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { Client } from 'pg';
import type { HostConfig } from './config';
import type { Endpoint } from './endpoints';
import { Failure, oneLine } from './errors';

/**
 * What every session of ours fixes: text forms that are equal on all majors (so that COPY moves each value whole), no
 * time-out that a role or database may carry, and names found in pg_catalog only, so that nobody's operator runs as us.
 */
const SESSION: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog',
  client_encoding: 'UTF8',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '3',
  bytea_output: 'hex',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  row_security: 'off',
  synchronous_commit: 'on',
};

/** Seconds until a connection that gets no answer is given up. */
const CONNECT_TIMEOUT_SECONDS = 15;

/** Opens a session on one end, with the settings above. Throws Failure that names the end, its address and the cause. */
export async function connectTo(endpoint: Endpoint, purpose: string): Promise<Client> {
  const client = new Client({
    host: endpoint.host,
    port: endpoint.port,
    database: endpoint.database,
    user: endpoint.user,
    password: endpoint.password,
    ssl: tls(endpoint),
    application_name: `ibex ${purpose}`,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    connectionTimeoutMillis: CONNECT_TIMEOUT_SECONDS * 1000,
  });
  const where = `${endpoint.end} ${endpoint.host}:${endpoint.port}/${endpoint.database} as ${endpoint.user}`;
  return open(client, where, SESSION);
}

/** Opens a session on the host's own PostgreSQL, by its socket, without a password. */
export async function connectToHost(host: HostConfig, database: string): Promise<Client> {
  const { postgres } = host;
  const client = new Client({
    host: postgres.host,
    port: postgres.port,
    user: postgres.user,
    database,
    application_name: 'ibex',
    connectionTimeoutMillis: CONNECT_TIMEOUT_SECONDS * 1000,
  });
  return open(client, `the host's PostgreSQL at ${postgres.host}:${postgres.port}/${database}`, {});
}

async function open(client: Client, where: string, session: Readonly<Record<string, string>>): Promise<Client> {
  client.on('error', () => undefined);
  try {
    await client.connect();
    const settings = Object.entries(session);
    if (settings.length > 0) {
      await client.query(
        `SELECT ${settings.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, false)`).join(', ')}`,
        settings.flat(),
      );
    }
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw new Failure(`cannot connect to ${where}: ${explain(error)}`);
  }
}

function explain(error: unknown): string {
  const { code } = error as { code?: string };
  const hints: Record<string, string> = {
    '28P01': 'the password in the secret is wrong; correct the secret and start again',
    '3D000': 'this database does not exist; correct the name in the secret or the settings',
    ECONNREFUSED: 'nothing listens there; check host, port and that the server runs',
    ENOTFOUND: 'this host name does not resolve; correct it',
    ETIMEDOUT: 'no answer; check routes, security groups and firewalls',
  };
  const hint = code === undefined ? undefined : hints[code];
  const text = error instanceof AggregateError ? oneLine(error.errors[0]) : oneLine(error);
  return hint === undefined ? text : `${text}; ${hint}`;
}

function tls(endpoint: Endpoint): ConnectionOptions | false {
  if (endpoint.sslmode === 'disable') return false;
  const ca = endpoint.sslRootCert === undefined ? {} : { ca: readFileSync(endpoint.sslRootCert, 'utf8') };
  if (endpoint.sslmode === 'require') return { rejectUnauthorized: false };
  if (endpoint.sslmode === 'verify-ca') return { ...ca, checkServerIdentity: () => undefined };
  return { ...ca, servername: endpoint.host };
}
