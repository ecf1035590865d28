import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { AgentConfig } from '../../assets/agent/config';
import { bucardoServiceFile } from '../../assets/agent/libpq';
import { serverAccount } from '../rehearsal/lab/account';
import { clientTools } from '../rehearsal/lab/client-tools';
import { createLabDirectory, removeLabDirectory, sweepStale } from '../rehearsal/lab/lab-directory';
import { DEBIAN_POSTGRES, ensurePackages } from '../rehearsal/lab/packages';
import { freePorts } from '../rehearsal/lab/ports';
import { postgresPrograms } from '../rehearsal/lab/postgres-programs';
import { LAB_VARIABLE } from '../rehearsal/lab/processes';
import { PostgresServer } from '../rehearsal/lab/server';
import { SOURCE_SETTINGS } from '../rehearsal/lab/source';
import { TARGET_SETTINGS } from '../rehearsal/lab/target';
import { ON_ONE_MACHINE, withOverrides } from '../rehearsal/one-machine';

/** Two servers to measure on, and a third one for Ibex's own state. */
export interface BenchServers {
  readonly directory: string;
  readonly source: PostgresServer;
  readonly target: PostgresServer;
  readonly host: PostgresServer;
  /** Directory with pg_dump, pg_restore and psql for both. */
  readonly tools: string;
  /** The host program's settings for them. @param database on both ends */
  config(database: string): AgentConfig;
  /** libpq's address of a database, without a password. */
  address(end: 'source' | 'target', database: string): string;
  /** The one login on both ends. */
  readonly login: { readonly user: string; readonly password: string };
  /** Of programs that work with them: the password file, and the mark by which `close` finds them. */
  readonly environment: Readonly<Record<string, string>>;
  connect(end: 'source' | 'target', database?: string): Promise<Client>;
  close(): Promise<void>;
}

/** One login on both ends: what is measured is the work, not what a login may do. */
const LOGIN = 'bench';
const PASSWORD = 'bench';

/** Where the host program is installed, if it is, under a directory of servers. */
export const hostHome = (directory: string): string => join(directory, 'program');

/** Starts the servers in a directory of their own. `close` removes all of it. */
export async function startBenchServers(
  majors: { readonly source: number; readonly target: number },
  log: (line: string) => void,
): Promise<BenchServers> {
  ensurePackages(log);
  await sweepStale(log);
  const account = serverAccount();
  const tools = await clientTools(majors.source, log);
  const programs = {
    source: await postgresPrograms(majors.source, log),
    target: await postgresPrograms(majors.target, log),
  };
  const ports = await freePorts(3);
  const directory = createLabDirectory(ports);
  const [sourcePort = 0, targetPort = 0, hostPort = 0] = ports;
  const common = { account, lab: directory, superuser: LOGIN };
  const source = new PostgresServer({
    ...common,
    role: 'source',
    version: majors.source,
    programs: programs.source,
    directory: join(directory, 'source'),
    port: sourcePort,
    password: PASSWORD,
    // What native logical replication needs, and stock Bucardo, which locks all of many tables in one transaction; the
    // other ways do not care.
    settings: { ...SOURCE_SETTINGS, wal_level: 'logical', max_locks_per_transaction: 256 },
  });
  const target = new PostgresServer({
    ...common,
    role: 'target',
    version: majors.target,
    programs: programs.target,
    directory: join(directory, 'target'),
    port: targetPort,
    password: PASSWORD,
    settings: TARGET_SETTINGS,
  });
  const host = new PostgresServer({
    ...common,
    role: 'host',
    version: 15,
    programs: DEBIAN_POSTGRES,
    directory: join(directory, 'host'),
    port: hostPort,
    settings: { shared_buffers: '64MB' },
    // Bucardo's functions connect to both ends from inside this server.
    environment: { PGSERVICEFILE: bucardoServiceFile(join(hostHome(directory), 'run')) },
  });
  const servers = [source, target, host];
  const close = (): Promise<void> => removeLabDirectory(directory);
  try {
    await Promise.all(servers.map(async (server) => server.initialize().then(() => server.start())));
  } catch (error) {
    await close();
    throw error;
  }
  const passwords = join(directory, 'pgpass');
  writeFileSync(passwords, `*:*:*:${LOGIN}:${PASSWORD}\n`, { mode: 0o600 });
  const secrets = join(directory, 'secrets');
  mkdirSync(secrets, { mode: 0o700 });
  writeFileSync(join(secrets, LOGIN), JSON.stringify({ username: LOGIN, password: PASSWORD }), { mode: 0o600 });
  const ends = { source, target };
  return {
    directory,
    source,
    target,
    host,
    tools,
    login: { user: LOGIN, password: PASSWORD },
    environment: { PGPASSFILE: passwords, [LAB_VARIABLE]: directory },
    address: (end, database) => `host=${ends[end].host} port=${ends[end].port} user=${LOGIN} dbname=${database}`,
    connect: (end, database = 'postgres') => ends[end].admin(database),
    config: (database) => ({
      migration: 'bench',
      secrets: { kind: 'directory', path: secrets },
      source: { secret: LOGIN, host: source.host, port: source.port, database, sslmode: 'disable' },
      target: { secret: LOGIN, host: target.host, port: target.port, database, sslmode: 'disable' },
      host: {
        stateDirectory: join(directory, 'state', database),
        runDirectory: join(directory, 'run', database),
        postgres: { host: host.host, port: host.port, user: LOGIN },
        clientTools: tools,
        bucardo: '/usr/bin/bucardo',
      },
      ...withOverrides(ON_ONE_MACHINE, {
        dump: { compression: 'none' },
        copy: { method: 'stream' },
        sync: { takeBackKeys: 0, syncs: 1 },
        cutover: { wayBack: 'none' },
      }),
    }),
    close,
  };
}
