import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Endpoint } from './endpoints';

/** One entry of the service file: a name for the programs, an address, and options of its own. */
export interface Service {
  readonly name: string;
  readonly endpoint: Endpoint;
  /** Session settings, sent as `-c name=value`; the server takes a backslash for what follows it. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** The service file that Bucardo and the host's PostgreSQL read. */
export const bucardoServiceFile = (runDirectory: string): string => join(runDirectory, 'pg_service.conf');

/** The service file that pg_dump and pg_restore read. */
export const clientServiceFile = (runDirectory: string): string => join(runDirectory, 'client_service.conf');

const escapePassword = (value: string): string => value.replace(/[\\:]/g, '\\$&');

function writePrivate(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  chmodSync(`${file}.new`, 0o600);
  renameSync(`${file}.new`, file);
}

function section({ name, endpoint, settings }: Service, passwordFile: string): string {
  const options = Object.entries(settings ?? {}).map(([key, value]) => `-c ${key}=${value.replace(/[\\\s]/g, '\\$&')}`);
  const lines = [
    `[${name}]`,
    `host=${endpoint.host}`,
    `port=${endpoint.port}`,
    `dbname=${endpoint.database}`,
    `user=${endpoint.user}`,
    `passfile=${passwordFile}`,
    `sslmode=${endpoint.sslmode}`,
    ...(endpoint.sslRootCert === undefined ? [] : [`sslrootcert=${endpoint.sslRootCert}`]),
    'connect_timeout=15',
    // NAT gateways and load balancers of AWS forget a silent connection after 350 s.
    'keepalives_idle=30',
    'keepalives_interval=10',
    'keepalives_count=3',
    'tcp_user_timeout=60000',
    ...(options.length === 0 ? [] : [`options=${options.join(' ')}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * Writes a service file and beside it one password file per service, all of mode 0600, so that pg_dump, pg_restore and
 * Bucardo are told a service's name and nothing else.
 */
export function writeServices(serviceFile: string, services: readonly Service[]): void {
  const passwordFile = (name: string): string => join(dirname(serviceFile), `${name}.pgpass`);
  for (const { name, endpoint } of services) {
    writePrivate(passwordFile(name), `*:*:*:*:${escapePassword(endpoint.password)}\n`);
  }
  writePrivate(serviceFile, services.map((service) => section(service, passwordFile(service.name))).join('\n'));
}
