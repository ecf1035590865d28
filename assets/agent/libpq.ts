import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Endpoint } from './endpoints';

/** One entry of the service file: a name for the programs, an address, and options of its own. */
export interface Service {
  readonly name: string;
  readonly endpoint: Endpoint;
  /** Session settings, sent as `-c name=value`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Paths of the libpq files below the run directory. */
export const libpqFiles = (runDirectory: string): { service: string; password: (name: string) => string } => ({
  service: join(runDirectory, 'pg_service.conf'),
  password: (name) => join(runDirectory, `${name}.pgpass`),
});

const escapePassword = (value: string): string => value.replace(/[\\:]/g, '\\$&');

function writePrivate(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  chmodSync(`${file}.new`, 0o600);
  renameSync(`${file}.new`, file);
}

function section({ name, endpoint, settings }: Service, passwordFile: string): string {
  const options = Object.entries(settings ?? {}).map(([key, value]) => `-c ${key}=${value}`);
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
 * Writes the service file and one password file per service, all of mode 0600, so that pg_dump, pg_restore and Bucardo
 * are told a service's name and nothing else.
 */
export function writeServices(runDirectory: string, services: readonly Service[]): void {
  const files = libpqFiles(runDirectory);
  for (const { name, endpoint } of services) {
    writePrivate(files.password(name), `*:*:*:*:${escapePassword(endpoint.password)}\n`);
  }
  writePrivate(files.service, services.map((service) => section(service, files.password(service.name))).join('\n'));
}
