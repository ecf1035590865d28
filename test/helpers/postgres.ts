import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { makeDataDirectory } from './data-directory';
import { postgresBinaries } from './postgres-binaries';
import { isRunning } from './processes';

/** What a test may ask of its throw-away server. */
export interface PostgresOptions {
  /** Major version. Default 15, Debian's own; the others come from npm. */
  version?: 10 | 11 | 15 | 17 | 18;
  /** Server settings, given with `-c`; they win over the helper's own. */
  settings?: Record<string, string>;
  /** Password of the superuser `postgres`, checked with SCRAM. Default: none, everybody is trusted. */
  password?: string;
  /** Directory for its files, which everybody may enter. Default: the system's for temporary files. */
  within?: string;
  /**
   * Copies the files of a server of PostgreSQL 11 that runs, with its password; `standby` follows it from then on, else
   * it goes its own way. Default: an empty server.
   */
  copyOf?: { server: TestPostgres; standby: boolean };
}

/** A PostgreSQL server that lives as long as one test file. */
export interface TestPostgres {
  host: string;
  port: number;
  user: string;
  password?: string;
  /** Connection URL of database `postgres`. */
  url: string;
  /** The data directory, gone after `stop`. */
  dataDirectory: string;
  /** Process id of the postmaster that runs now; undefined while it is down. */
  readonly pid: number | undefined;
  /** A connected client of this database (default `postgres`); closed by the caller, or at the latest by `stop`. */
  connect(database?: string): Promise<Client>;
  /** Kills every process of the server with SIGKILL, as a crash does, and returns once they are gone. */
  kill(): Promise<void>;
  /** Kills one process of many, as the OOM killer does; returns once the server has recovered, whose postmaster stays. */
  crash(): Promise<void>;
  /** Kills it, and starts it again as a standby, as a failover may leave it (from 12 on), until `SELECT pg_promote()`. */
  demote(): Promise<void>;
  /** Stops every process of the server with SIGSTOP, as a hung machine does, until `thaw`. */
  freeze(): void;
  /** Lets the processes go on after `freeze`. */
  thaw(): void;
  /** Starts it again on the same port with the same data; returns when it answers. */
  start(): Promise<void>;
  /** Shuts it down and removes its files. May be called twice. */
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const user = 'postgres';

/**
 * Starts an empty server on a free port of the loopback. It dies with the test process, even when that is killed.
 * Durability is off except for what a crash of the processes alone can lose (nothing: the pages are the kernel's).
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const version = options.version ?? 15;
  const bin = postgresBinaries(version);
  const root = fs.mkdtempSync(path.join(options.within ?? os.tmpdir(), 'ibex-pg-'));
  fs.chmodSync(root, 0o777);
  const dataDirectory = path.join(root, 'data');
  const run = serverUser();
  if (options.copyOf) copyFiles(options.copyOf, root, dataDirectory, run);
  else await makeDataDirectory(dataDirectory, { version, bin, user, password: options.password, run });

  let port = await freePort();
  let server: ChildProcess | undefined;
  const clients = new Set<Client>();
  const address = { host, user, password: options.password };

  const connect = async (database = 'postgres'): Promise<Client> => {
    const client = new Client({ ...address, port, database });
    client.on('error', () => clients.delete(client));
    await client.connect();
    clients.add(client);
    return client;
  };

  const answers = async (): Promise<boolean> => {
    const probe = new Client({ ...address, port, database: 'postgres', connectionTimeoutMillis: 2_000 });
    probe.on('error', () => undefined);
    try {
      await probe.connect();
      return true;
    } catch {
      return false;
    } finally {
      await probe.end().catch(() => undefined);
    }
  };

  const launch = async (): Promise<boolean> => {
    const settings = { ...baseSettings(root, port), ...options.settings };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = fs.openSync(path.join(root, 'log'), 'a');
    const child = spawn('setpriv', [...run, path.join(bin, 'postgres'), '-D', dataDirectory, ...flags], {
      cwd: root,
      stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    child.once('error', () => undefined);
    // One that gives up by itself may be started again.
    child.once('exit', () => {
      if (server === child) server = undefined;
    });
    while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      if (await answers()) {
        server = child;
        return true;
      }
      await sleep(20);
    }
    return false;
  };

  const signalAll = (signal: NodeJS.Signals): void => {
    const pid = server?.pid;
    if (pid) for (const each of [pid, ...childrenOf(pid)]) signalQuietly(each, signal);
  };

  const gone = async (signal: NodeJS.Signals, pids: number[]): Promise<void> => {
    const child = server;
    server = undefined;
    if (!child) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    for (const pid of pids) signalQuietly(pid, signal);
    if (child.exitCode === null && child.signalCode === null) await exited;
    while (pids.some(isRunning)) await sleep(10);
  };

  const crash = async (): Promise<void> => {
    const postmaster = server?.pid;
    if (postmaster === undefined) throw new Error('the server is down');
    const victim = await connect();
    const { rows } = await victim.query('SELECT pg_backend_pid() AS pid');
    const children = childrenOf(postmaster);
    signalQuietly((rows[0] as { pid: number }).pid, 'SIGKILL');
    while (children.some(isRunning) || !(await answers())) await sleep(20);
  };

  const start = async (): Promise<void> => {
    if (server) return;
    if (!(await launch())) throw new Error(`PostgreSQL ${version} does not start:\n${lastLines(root)}`);
  };

  const stop = async (): Promise<void> => {
    await Promise.all([...clients].map((client) => client.end().catch(() => undefined)));
    clients.clear();
    // Without a checkpoint, since nobody reads its files again.
    if (server?.pid) await gone('SIGQUIT', [server.pid]);
    fs.rmSync(root, { recursive: true, force: true });
  };

  // Another process may take the free port between the probe and the start, so a second and a third are tried.
  let up = await launch();
  for (let attempt = 0; !up && attempt < 2; attempt++) {
    port = await freePort();
    up = await launch();
  }
  if (!up) {
    const log = lastLines(root);
    await stop();
    throw new Error(`PostgreSQL ${version} does not start:\n${log}`);
  }
  const secret = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}`;
  const kill = async (): Promise<void> => {
    // All at one instant: a backend that sees the postmaster gone lets go of its locks, for which others still commit.
    signalAll('SIGSTOP');
    if (server?.pid) await gone('SIGKILL', [server.pid, ...childrenOf(server.pid)]);
  };

  const demote = async (): Promise<void> => {
    await kill();
    fs.writeFileSync(path.join(dataDirectory, 'standby.signal'), '');
    await start();
  };

  return {
    host,
    port,
    user,
    password: options.password,
    url: `postgresql://${user}${secret}@${host}:${port}/postgres`,
    dataDirectory,
    get pid() {
      return server?.pid;
    },
    connect,
    kill,
    crash,
    demote,
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    start,
    stop,
  };
}

/** Arguments of `setpriv`, which gives up root, which PostgreSQL refuses, and ties the server's life to ours. */
function serverUser(): string[] {
  const drop = process.getuid?.() === 0 ? ['--reuid=postgres', '--regid=postgres', '--init-groups'] : [];
  return [...drop, '--pdeathsig=SIGQUIT'];
}

function copyFiles(
  { server, standby }: NonNullable<PostgresOptions['copyOf']>,
  root: string,
  data: string,
  run: string[],
): void {
  const from = ['--host', server.host, '--port', String(server.port), '--username', server.user];
  const flags = ['--pgdata', data, '--checkpoint=fast', '--no-sync'];
  execFileSync('setpriv', [...run, '/usr/lib/postgresql/15/bin/pg_basebackup', ...from, ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...(server.password !== undefined && { PGPASSWORD: server.password }) },
  });
  if (!standby) return;
  // Not by pg_basebackup, whose newer libpq writes options that a standby of 11 does not know.
  const primary = `host=${server.host} port=${server.port} user=${server.user} passfile=${path.join(root, 'pgpass')}`;
  fs.writeFileSync(path.join(root, 'pgpass'), `*:*:*:*:${(server.password ?? '').replace(/[\\:]/g, '\\$&')}\n`, {
    mode: 0o600,
  });
  fs.writeFileSync(path.join(data, 'recovery.conf'), `standby_mode = on\nprimary_conninfo = '${primary}'\n`);
  execFileSync('chown', ['--reference', data, path.join(root, 'pgpass'), path.join(data, 'recovery.conf')]);
}

const baseSettings = (root: string, port: number): Record<string, string> => ({
  port: String(port),
  listen_addresses: host,
  unix_socket_directories: root,
  fsync: 'off',
  shared_buffers: '32MB',
  max_wal_size: '256MB',
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** The processes whose parent this is. Backends are in sessions of their own, so a process group would miss them. */
function childrenOf(pid: number): number[] {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in between, which is what was wanted.
  }
}

const lastLines = (root: string): string => {
  const log = path.join(root, 'log');
  return fs.existsSync(log) ? fs.readFileSync(log, 'utf8').split('\n').slice(-12).join('\n') : '(no log)';
};
