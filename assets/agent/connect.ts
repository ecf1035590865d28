import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { Client } from 'pg';
import type { HostConfig } from './config';
import type { Endpoint } from './endpoints';
import { Failure, oneLine } from './errors';
import { explainHost, HostLost } from './host-volume';
import { isLost } from './lost';
import { reusingSocket } from './reused-reads';
import { sql } from './sql';

/**
 * What every session of ours fixes, whatever a role or database carries: text forms that are equal on all majors (so that
 * COPY moves each value whole), no time-out, transactions as the statements here expect them, and names found in
 * pg_catalog only, so that nobody's operator runs as us.
 */
const SESSION: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog',
  client_encoding: 'UTF8',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '3',
  bytea_output: 'hex',
  array_nulls: 'on',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  row_security: 'off',
  synchronous_commit: 'on',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  lc_monetary: 'C',
  // A host that is gone must not keep its locks for the two hours that most servers take to notice.
  tcp_keepalives_idle: '30',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '3',
};

/** Time-outs that only newer servers know (from 14 and from 17), and that a role or database may carry. */
const NEWER_TIMEOUTS = ['idle_session_timeout', 'transaction_timeout'] as const;

/** Seconds until a connection that gets no answer is given up. */
const CONNECT_TIMEOUT_SECONDS = 15;

/**
 * Opens a session on one end, with the settings above. Throws Failure that names the end, its address and the cause.
 *
 * @param mayBeStandby whether a server will do that takes no writes. @default only as the dump source
 */
export async function connectTo(
  endpoint: Endpoint,
  purpose: string,
  mayBeStandby = endpoint.end === 'dumpSource',
): Promise<Client> {
  const ssl = tls(endpoint);
  const client = new Client({
    ...(ssl === false && { stream: reusingSocket }),
    host: endpoint.host,
    port: endpoint.port,
    database: endpoint.database,
    user: endpoint.user,
    password: endpoint.password,
    ssl,
    application_name: `ibex ${purpose}`,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    connectionTimeoutMillis: CONNECT_TIMEOUT_SECONDS * 1000,
  });
  const where = `${endpoint.end} ${endpoint.host}:${endpoint.port}/${endpoint.database} as ${endpoint.user}`;
  return open(client, where, (opened) => endPrepared(opened, mayBeStandby));
}

/** Fixes further settings of a session, those that its server knows. */
export async function setKnown(client: Client, settings: Readonly<Record<string, string>>): Promise<void> {
  await client.query(
    sql`
      SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)
      WHERE current_setting(name, true) IS NOT NULL`,
    [Object.keys(settings), Object.values(settings)],
  );
}

/**
 * Opens a session on the host's own PostgreSQL, by its socket, without a password. Throws Failure that names its address
 * and the cause; what fails because its volume is full, now or in a later statement, is a HostFull, and what fails because
 * the session has ended a HostLost.
 */
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
  const where = `the host's PostgreSQL at ${postgres.host}:${postgres.port}/${database}`;
  await open(client, where, async () => undefined).catch((error: unknown) => {
    throw explainHost(host, error);
  });
  const explained = (error: unknown): never => {
    const told = explainHost(host, error);
    if (told instanceof HostLost || !isLost(told)) throw told;
    const wayOn = 'what was done is kept; see that it runs, then start again, it resumes';
    throw new HostLost(`${where} ended our session: ${oneLine(told)}; ${wayOn}`, { cause: told });
  };
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  client.query = ((...args: unknown[]) => {
    const answer = query(...args);
    return answer instanceof Promise ? answer.catch(explained) : answer;
  }) as typeof client.query;
  return client;
}

async function open(client: Client, where: string, prepare: (client: Client) => Promise<void>): Promise<Client> {
  client.on('error', () => undefined);
  try {
    await client.connect();
    await prepare(client);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw new Failure(`cannot connect to ${where}: ${explain(error)}`, { cause: error });
  }
}

/**
 * Fixes the settings, and makes sure that they are those of a session of our own. Behind a pooler, which announces a process
 * of its own, they end with the statement: the session is the application's, and nothing may reset it before that has it back.
 */
async function endPrepared(client: Client, mayBeStandby: boolean): Promise<void> {
  const { processID: announced } = client as unknown as { readonly processID: number | null };
  const settings = Object.entries(SESSION);
  const isForeign = 'pg_backend_pid() IS DISTINCT FROM $1::int';
  const { rows } = await client.query<{ isForeign: boolean; isStandby: boolean }>(
    `SELECT ${isForeign} AS "isForeign", pg_is_in_recovery() AS "isStandby",
       ${settings.map((_, i) => `set_config($${2 * i + 2}, $${2 * i + 3}, ${isForeign})`).join(', ')},
       ${NEWER_TIMEOUTS.map((name) => `CASE WHEN current_setting('${name}', true) IS NOT NULL THEN set_config('${name}', '0', ${isForeign}) END`).join(', ')}`,
    [announced, ...settings.flat()],
  );
  if (rows[0]?.isForeign !== false) {
    throw new Failure(
      'a pooler stands between, which may give our session to others; give the address of the server itself',
    );
  }
  if (rows[0].isStandby && !mayBeStandby) {
    throw new Failure(
      'it is a standby now, which takes no writes; give the address of the primary, or after a failover wait until this one leads to it',
    );
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
