import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { bundleAgent } from '../../agent-bundle';
import { ON_ONE_MACHINE, withOverrides } from '../one-machine';
import { type Account, writeOwned } from './account';
import { loadDump } from './dump';
import { Endpoint } from './endpoint';
import { loadExample } from './example';
import { hostConfig, hostEnvironment, installProgram, makeHost, writeSecrets } from './host';
import { DEBIAN_POSTGRES } from './packages';
import { installParameterGroups } from './parameter-groups';
import { awkwardPassword, passwordLine } from './passwords';
import { CONSOLE_SECRET, LabPooler } from './pooler';
import { PostgresServer, type Server } from './server';
import {
  APPLICATION_LOGIN,
  DATABASE,
  letOwnerApply,
  type Login,
  prepareSource,
  SOURCE_OWNER,
  SOURCE_SETTINGS,
  SOURCE_SUPERUSER,
} from './source';
import { prepareTarget, TARGET_MASTER, TARGET_SETTINGS, TARGET_SUPERUSER } from './target';
import type { Lab, LabOptions } from './types';

/** Small: it holds the state of one migration. */
const HOST_SETTINGS = { shared_buffers: '64MB', max_connections: 100 };

/** What was found on the machine before anything was started. */
export interface Ground {
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

/** Makes and starts everything in the lab's directory. When it fails, what it made and started is still there. @param close of the lab */
export async function buildLab(options: LabOptions, ground: Ground, close: () => Promise<void>): Promise<Lab> {
  const { account, programs, directory } = ground;
  const [sourcePort = 0, targetPort = 0, hostPort = 0, endpointPort = 0, poolerPort = 0, consolePort = 0] =
    ground.ports;
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
  await all([source, target, hostPostgres].map((server) => server.initialize().then(() => server.start())));
  await endpoint.start();
  await all([prepareSource(source, logins.owner, logins.application), prepareTarget(target, logins.master)]);
  if (options.wayBack) await letOwnerApply(source, options.sourceVersion);

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

  const budgetSeconds = options.settings?.cutover?.budgetSeconds ?? ON_ONE_MACHINE.cutover.budgetSeconds;
  const pooler = options.pooler
    ? await LabPooler.start({
        ...common,
        ports: { clients: poolerPort, console: consolePort },
        sides: { source, target },
        database: DATABASE,
        login: logins.application,
        budgetSeconds,
        log: options.log,
      })
    : undefined;
  const address = ({ host, port }: Server) => ({ host, port, dbname: DATABASE });
  writeSecrets(paths, account, {
    source: { username: logins.owner.user, password: logins.owner.password, ...address(source) },
    target: { username: logins.master.user, password: logins.master.password, ...address(target) },
    application: { username: logins.application.user, password: logins.application.password },
    ...(pooler && { [CONSOLE_SECRET]: pooler.console }),
  });
  const facts = {
    postgres: hostPostgres,
    clientTools: programs.tools,
    switchCommand: endpoint.command,
    pooler: pooler?.config,
    targetLog: target.log,
  };
  const config = withOverrides(
    hostConfig(paths, account, { ...facts, wayBack: options.wayBack === true }),
    options.settings,
  );
  writeOwned(paths.configuration, JSON.stringify(config, null, 2), account, 0o644);
  installProgram(paths, account, programs.node, options.program ?? bundleAgent);
  installParameterGroups(paths, account);

  return {
    directory,
    source,
    target,
    hostPostgres,
    endpoint,
    config,
    account,
    environment: hostEnvironment(paths, account, directory, programs.node),
    pooler,
    side: () => (pooler ?? endpoint).side(),
    application: {
      host: endpoint.host,
      port: pooler ? poolerPort : endpoint.port,
      database: DATABASE,
      ...logins.application,
      ...(pooler && { ssl: { rejectUnauthorized: false } }),
    },
    passwordFile,
    connect,
    close,
  };
}

/** Waits for all even when one fails, so that nothing is started any more when the caller cleans up. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
