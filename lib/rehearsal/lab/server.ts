import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { Failure } from '../../../assets/agent/errors';
import { identify } from '../../../assets/agent/process';
import { type Account, makeDirectory, writeOwned } from './account';
import { run } from './run';
import { killAll, LAB_VARIABLE, signal, until } from './processes';

/** Which of the lab's servers: the two ends of the migration, or the stand-in host's own. */
export type ServerRole = 'source' | 'target' | 'host';

/** One PostgreSQL server of the lab, as those who break it and those who look into it see it. */
export interface Server {
  readonly role: ServerRole;
  /** Address, or the Unix socket's directory for the host's. */
  readonly host: string;
  readonly port: number;
  /** Major version. */
  readonly version: number;
  /** Holds `data`, `socket` and `log`. */
  readonly directory: string;
  /** File that it logs to. */
  readonly log: string;
  /** Starts it and waits until it answers; does nothing when it runs. Throws Failure with its last words. */
  start(): Promise<void>;
  /** Fast shutdown: connections end, everything is on disk. */
  stop(): Promise<void>;
  /** SIGKILL of the postmaster and all its children, as when the machine loses power. */
  kill(): Promise<void>;
  /** A connection of the superuser, who exists only for the lab. @param database @default 'postgres' */
  admin(database?: string): Promise<Client>;
}

/** How a server is made. */
export interface ServerSpec {
  readonly role: ServerRole;
  readonly version: number;
  /** Directory with `initdb` and `postgres`. */
  readonly programs: string;
  /** The server's own directory; made by `initialize`. */
  readonly directory: string;
  /** The lab's directory, which marks the process. */
  readonly lab: string;
  readonly account: Account;
  readonly port: number;
  /** First superuser, by initdb. */
  readonly superuser: string;
  /** Its password over TCP; without one the server is reached by its socket only. */
  readonly password?: string;
  /** postgresql.conf. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** Environment of the server, and so of functions that run in it. */
  readonly environment?: Readonly<Record<string, string>>;
}

const ADDRESS = '127.0.0.1';
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

/** A server that initdb makes in the lab's directory and that runs as a child, in a session of its own. */
export class PostgresServer implements Server {
  readonly role: ServerRole;
  readonly host: string;
  readonly port: number;
  readonly version: number;
  readonly directory: string;
  readonly log: string;
  private readonly data: string;

  constructor(private readonly spec: ServerSpec) {
    this.role = spec.role;
    this.port = spec.port;
    this.version = spec.version;
    this.directory = spec.directory;
    this.log = join(spec.directory, 'log');
    this.data = join(spec.directory, 'data');
    this.host = spec.password === undefined ? join(spec.directory, 'socket') : ADDRESS;
  }

  /** Makes the data directory. */
  async initialize(): Promise<void> {
    const { account, directory, password, programs, superuser, settings } = this.spec;
    makeDirectory(directory, account);
    makeDirectory(join(directory, 'socket'), account);
    const passwordFile = join(directory, 'password');
    writeOwned(passwordFile, `${password ?? 'none'}\n`, account);
    const options = ['--pgdata', this.data, '--username', superuser, '--pwfile', passwordFile];
    // The method decides how the password is stored: with the default, servers before 14 would keep an MD5 hash.
    const encoding = [
      '--auth',
      password === undefined ? 'trust' : 'scram-sha-256',
      '--encoding',
      'UTF8',
      '--locale',
      'C.UTF-8',
      '--nosync',
    ];
    await run(join(programs, 'initdb'), [...options, ...encoding], {
      account,
      cwd: directory,
      environment: this.environment,
    });
    rmSync(passwordFile);
    const method = password === undefined ? 'trust' : 'scram-sha-256';
    writeOwned(
      join(this.data, 'pg_hba.conf'),
      `local all all ${method}\nlocal replication all ${method}\nhost all all ${ADDRESS}/32 scram-sha-256\n`,
      account,
    );
    const lines = Object.entries({
      listen_addresses: password === undefined ? '' : ADDRESS,
      port: this.port,
      unix_socket_directories: join(directory, 'socket'),
      password_encryption: 'scram-sha-256',
      // In the data directory instead of /dev/shm, so that nothing stays behind when the server is killed.
      dynamic_shared_memory_type: 'mmap',
      log_line_prefix: '%m [%p] %u@%d ',
      ...settings,
    }).map(([name, value]) => `${name} = '${value}'\n`);
    writeFileSync(join(this.data, 'postgresql.conf'), lines.join(''));
  }

  async start(): Promise<void> {
    if (this.postmaster() !== undefined) return;
    if (this.processes().length === 0) this.forgetKilled();
    const { account, programs } = this.spec;
    const log = openSync(this.log, 'a');
    const child = spawn(join(programs, 'postgres'), ['-D', this.data], {
      ...account.ids,
      cwd: this.directory,
      env: this.environment,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    let ended = false;
    child.once('exit', () => (ended = true));
    child.once('error', () => (ended = true));
    child.unref();
    const ready = (): boolean =>
      ended || (this.pidFile()[0] === String(child.pid) && this.pidFile()[7]?.trim() === 'ready');
    if (!(await until(ready, START_TIMEOUT_MS)) || ended) {
      if (child.pid !== undefined && !ended) signal(child.pid, 'SIGKILL');
      throw new Failure(
        `PostgreSQL ${this.version} (${this.role}) does not start: ${this.lastWords()}; its log is ${this.log}`,
      );
    }
  }

  /** After a kill these name a process that may still wait to be buried, or a stranger with the same number. */
  private forgetKilled(): void {
    for (const file of [
      join(this.data, 'postmaster.pid'),
      join(this.directory, 'socket', `.s.PGSQL.${this.port}.lock`),
    ]) {
      rmSync(file, { force: true });
    }
  }

  async stop(): Promise<void> {
    const postmaster = this.postmaster();
    if (postmaster === undefined) return;
    signal(postmaster, 'SIGINT');
    if (await until(() => identify(postmaster) === undefined, STOP_TIMEOUT_MS)) return;
    await this.kill();
  }

  async kill(): Promise<void> {
    // The postmaster first: it answers the death of a child with crash recovery and new children.
    const postmaster = this.postmaster();
    if (postmaster !== undefined) signal(postmaster, 'SIGKILL');
    await killAll(() => this.processes());
  }

  async admin(database = 'postgres'): Promise<Client> {
    const { password, superuser } = this.spec;
    const client = new Client({ host: this.host, port: this.port, user: superuser, password, database });
    client.on('error', () => {
      // A server that is killed ends its connections; the next query says so to whoever asks.
    });
    await client.connect();
    return client;
  }

  private get environment(): Record<string, string> {
    // Not the caller's: PG* variables and locales of whoever starts the rehearsal must not matter.
    const path = '/usr/local/bin:/usr/bin:/bin';
    return { PATH: path, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...this.spec.environment, [LAB_VARIABLE]: this.spec.lab };
  }

  private pidFile(): string[] {
    try {
      return readFileSync(join(this.data, 'postmaster.pid'), 'utf8').split('\n');
    } catch {
      return [];
    }
  }

  private postmaster(): number | undefined {
    const pid = Number(this.pidFile()[0]);
    return this.processes().includes(pid) ? pid : undefined;
  }

  /** The postmaster and its children all work in the data directory. */
  private processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && workingDirectory(name) === this.data)
      .map(Number)
      .filter((pid) => identify(pid) !== undefined);
  }

  private lastWords(): string {
    const lines = readFileSync(this.log, 'utf8').trim().split('\n');
    return lines.findLast((line) => /FATAL|PANIC/.test(line))?.replace(/^.*?(FATAL|PANIC)/, '$1') ?? lines.at(-1) ?? '';
  }
}

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
