import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { UsageError } from '../../../assets/agent/errors';
import { bundleAgent } from '../../agent-bundle';
import { type Account, serverAccount, writeOwned } from './account';
import { reachableNode } from './cache';
import { clientTools } from './client-tools';
import { loadDump } from './dump';
import { Endpoint } from './endpoint';
import { loadExample } from './example';
import { hostConfig, hostEnvironment, installProgram, makeHost, withOverrides, writeSecrets } from './host';
import { createLabDirectory, removeLabDirectory, sweepStale } from './lab-directory';
import { DEBIAN_POSTGRES, ensurePackages } from './packages';
import { awkwardPassword, passwordLine } from './passwords';
import { freePorts } from './ports';
import { postgresPrograms } from './postgres-programs';
import { PostgresServer, type Server } from './server';
import {
  APPLICATION_LOGIN,
  DATABASE,
  type Login,
  prepareSource,
  SOURCE_OWNER,
  SOURCE_SETTINGS,
  SOURCE_SUPERUSER,
} from './source';
import { prepareTarget, TARGET_MASTER, TARGET_SETTINGS, TARGET_SUPERUSER } from './target';

export { ensurePackages } from './packages';
export { sweepStale } from './lab-directory';
export type { Endpoint } from './endpoint';
export type { Side } from './endpoint-process';
export type { Server, ServerRole } from './server';

/** What a rehearsal asks of its lab. */
export interface LabOptions {
  /** Major version of the source, 10 to 17. */
  readonly sourceVersion: number;
  /** Major version of the target, 15 to 18. */
  readonly targetVersion: number;
  /** pgbench's scale; 100,000 accounts each. */
  readonly scale: number;
  /** File or directory of a dump that takes the place of the example and of pgbench. */
  readonly dump?: string;
  /** Takes one line about something that takes its time or changes the machine. */
  readonly log: (line: string) => void;
  /** Overrides of the host program's configuration; sections are merged field by field. */
  readonly settings?: Partial<AgentConfig>;
  /** Writes the host program to a file. @default bundleAgent */
  readonly program?: (file: string) => void;
}

/** Where the applications connect, and as whom; they are never told anything else. */
export interface ApplicationAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** The stand-ins for the two database services, the Bucardo host and the load balancer. */
export interface Lab {
  readonly directory: string;
  readonly source: Server;
  readonly target: Server;
  /** The stand-in host's own PostgreSQL, reached by a Unix socket. */
  readonly hostPostgres: Server;
  readonly endpoint: Endpoint;
  /** What the host program is told; also in the file that IBEX_CONFIG names. */
  readonly config: AgentConfig;
  /** The only environment that commands on the stand-in host are given. */
  readonly environment: Readonly<Record<string, string>>;
  /** Account that commands on the host may be run as; the host program takes it by itself when root starts it. */
  readonly account: Account;
  readonly application: ApplicationAddress;
  /** libpq password file with every login of both ends, to connect by hand: `PGPASSFILE=… psql -h … -p … -U …`. */
  readonly passwordFile: string;
  /** A connection straight to one end. @param as @default 'migration' */
  connect(end: 'source' | 'target', as?: 'application' | 'migration'): Promise<Client>;
  /** Ends every process of the lab and removes its directory; may be called again. */
  close(): Promise<void>;
}

/** Small: it holds the state of one migration. */
const HOST_SETTINGS = { shared_buffers: '64MB', max_connections: 100 };

/**
 * Opens a lab: servers on free ports of 127.0.0.1 in a directory of its own, the source filled, the target as RDS
 * hands it out. What an earlier run left behind because it was killed is removed first. When it fails, nothing stays.
 */
export async function openLab(options: LabOptions): Promise<Lab> {
  checkVersions(options);
  const { log } = options;
  await sweepStale(log);
  ensurePackages(log);
  const account = serverAccount();
  const programs = {
    source: await postgresPrograms(options.sourceVersion, log),
    target: await postgresPrograms(options.targetVersion, log),
    tools: await clientTools(options.sourceVersion, log),
    node: await reachableNode(),
  };
  const ports = await freePorts(4);
  const directory = createLabDirectory(ports);
  open.add(directory);
  try {
    return await build(options, { account, programs, directory, ports });
  } catch (error) {
    await remove(directory);
    throw error;
  }
}

/** Labs that this process has open or is opening. */
const open = new Set<string>();

/** Removes every lab of this process, also one that is still being opened: what Ctrl-C calls. */
export async function closeAllLabs(): Promise<void> {
  for (const directory of open) await remove(directory);
}

async function remove(directory: string): Promise<void> {
  if (!open.delete(directory)) return;
  await removeLabDirectory(directory);
}

function checkVersions({ sourceVersion, targetVersion, scale }: LabOptions): void {
  const check = (what: string, value: number, from: number, to: number): void => {
    if (Number.isInteger(value) && value >= from && value <= to) return;
    throw new UsageError(`${what} ${value}: must be a whole number from ${from} to ${to}`);
  };
  check('source version', sourceVersion, 10, 17);
  check('target version', targetVersion, 15, 18);
  check('scale', scale, 1, 10_000);
  if (targetVersion < sourceVersion) {
    throw new UsageError(
      `target version ${targetVersion} is older than the source's ${sourceVersion}; migrations go forward only`,
    );
  }
}

/** What was found on the machine before anything was started. */
interface Ground {
  readonly account: Account;
  readonly programs: {
    readonly source: string;
    readonly target: string;
    readonly tools: string;
    readonly node: string;
  };
  readonly directory: string;
  readonly ports: readonly number[];
}

interface Logins {
  readonly owner: Login;
  readonly application: Login;
  readonly master: Login;
}

async function build(options: LabOptions, ground: Ground): Promise<Lab> {
  const { account, programs, directory } = ground;
  const [sourcePort = 0, targetPort = 0, hostPort = 0, endpointPort = 0] = ground.ports;
  const common = { account, lab: directory };
  const paths = makeHost(join(directory, 'host'), account);
  const superusers = { source: awkwardPassword(), target: awkwardPassword() };
  const source = new PostgresServer({
    ...common,
    role: 'source',
    version: options.sourceVersion,
    programs: programs.source,
    directory: join(directory, 'source'),
    port: sourcePort,
    superuser: SOURCE_SUPERUSER,
    password: superusers.source,
    settings: SOURCE_SETTINGS,
  });
  const target = new PostgresServer({
    ...common,
    role: 'target',
    version: options.targetVersion,
    programs: programs.target,
    directory: join(directory, 'target'),
    port: targetPort,
    superuser: TARGET_SUPERUSER,
    password: superusers.target,
    settings: TARGET_SETTINGS,
  });
  const hostPostgres = new PostgresServer({
    ...common,
    role: 'host',
    version: 15,
    programs: DEBIAN_POSTGRES,
    directory: join(paths.home, 'postgres'),
    port: hostPort,
    superuser: account.name,
    settings: HOST_SETTINGS,
    // Bucardo's functions connect to both ends from inside this server.
    environment: { PGSERVICEFILE: join(paths.run, 'pg_service.conf') },
  });
  const endpoint = new Endpoint({
    ...common,
    directory: join(directory, 'endpoint'),
    node: programs.node,
    port: endpointPort,
    source: { host: source.host, port: source.port },
    target: { host: target.host, port: target.port },
  });

  const logins: Logins = {
    owner: { user: SOURCE_OWNER, password: awkwardPassword() },
    application: { user: APPLICATION_LOGIN, password: awkwardPassword() },
    master: { user: TARGET_MASTER, password: awkwardPassword() },
  };
  const passwordFile = join(directory, 'pgpass');
  const everyone: readonly Login[] = [
    logins.owner,
    logins.application,
    logins.master,
    { user: SOURCE_SUPERUSER, password: superusers.source },
    { user: TARGET_SUPERUSER, password: superusers.target },
  ];
  writeFileSync(passwordFile, everyone.map((login) => `${passwordLine(login)}\n`).join(''), { mode: 0o600 });

  endpoint.initialize();
  await Promise.all([source, target, hostPostgres].map((server) => server.initialize().then(() => server.start())));
  await endpoint.start();
  await Promise.all([prepareSource(source, logins.owner, logins.application), prepareTarget(target, logins.master)]);

  const connect: Lab['connect'] = async (end, as = 'migration') => {
    const { host, port } = end === 'source' ? source : target;
    const migration = end === 'source' ? logins.owner : logins.master;
    const client = new Client({
      host,
      port,
      database: DATABASE,
      ...(as === 'application' ? logins.application : migration),
    });
    client.on('error', () => {
      // A server that is killed ends its connections; the next query says so to whoever asks.
    });
    await client.connect();
    return client;
  };
  const tools = { pgbench: join(DEBIAN_POSTGRES, 'pgbench'), passwordFile };
  if (options.dump !== undefined) {
    await loadDump({
      path: options.dump,
      source,
      owner: SOURCE_OWNER,
      application: APPLICATION_LOGIN,
      superuser: SOURCE_SUPERUSER,
      passwordFile,
      log: options.log,
    });
  } else {
    const { scale } = options;
    await loadExample({ source, owner: logins.owner, connect: () => connect('source'), scale, ...tools });
  }

  const address = ({ host, port }: Server) => ({ host, port, dbname: DATABASE });
  writeSecrets(paths, account, {
    source: { username: logins.owner.user, password: logins.owner.password, ...address(source) },
    target: { username: logins.master.user, password: logins.master.password, ...address(target) },
    application: { username: logins.application.user, password: logins.application.password },
  });
  const facts = { postgres: hostPostgres, clientTools: programs.tools, switchCommand: endpoint.command };
  const config = withOverrides(hostConfig(paths, account, facts), options.settings);
  writeOwned(paths.configuration, JSON.stringify(config, null, 2), account, 0o644);
  installProgram(paths, account, programs.node, options.program ?? bundleAgent);

  return {
    directory,
    source,
    target,
    hostPostgres,
    endpoint,
    config,
    account,
    environment: hostEnvironment(paths, account, directory, programs.node),
    application: { host: endpoint.host, port: endpoint.port, database: DATABASE, ...logins.application },
    passwordFile,
    connect,
    close: () => remove(directory),
  };
}
