import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { bucardoProcesses, killBucardo, lastWords } from '../../assets/agent/bucardo/daemon';
import { logDirectory, pidDirectory, processTag, runBucardo } from '../../assets/agent/bucardo/program';
import type { HostConfig } from '../../assets/agent/config';
import { Failure } from '../../assets/agent/errors';
import { seconds } from './program';
import type { BenchServers } from './servers';

/** Name of the sync, of its relgroup and of its group of databases. */
const SYNC = 'bench';

/** How often Bucardo's own account of its runs is read; milliseconds. */
const POLL_MS = 200;

const START_TIMEOUT_MS = 60_000;

/** Longest time of one run; what hangs must not cost the other benchmarks their turn. */
const RUN_TIMEOUT_MS = 600_000;

/** How a Bucardo is set up. */
export interface BucardoSetup {
  /** Rows of its table of settings. @default those that it ships with */
  readonly settings?: Readonly<Record<string, string>>;
  /** Session settings on the source. @default none */
  readonly session?: Readonly<Record<string, string>>;
  /** Columns of its sync. */
  readonly sync: { readonly autokick: boolean; readonly checktime: string | null; readonly onetimecopy?: number };
}

/** As `bucardo add sync` makes it. */
export const STOCK: BucardoSetup = { sync: { autokick: true, checktime: null } };

/** As somebody would run it who has read its code. */
export const TUNED: BucardoSetup = {
  settings: { statement_chunk_size: '500', log_level: 'NORMAL', quick_delta_check: '1' },
  session: { enable_nestloop: 'off', jit: 'off', work_mem: '128MB', row_security: 'off' },
  sync: { autokick: false, checktime: '1 second' },
};

/** Removes all that Bucardo left in a database of the source, triggers included. */
export async function removeBucardo(servers: BenchServers, database: string): Promise<void> {
  const client = await servers.connect('source', database);
  try {
    await client.query('SET client_min_messages = warning');
    await client.query('DROP SCHEMA IF EXISTS bucardo CASCADE');
  } finally {
    await client.end();
  }
}

/** Throws Failure unless Bucardo itself has installed its triggers on these tables, that of autokick among them. */
export async function expectStockTriggers(
  servers: BenchServers,
  database: string,
  tables: readonly string[],
): Promise<void> {
  const client = await servers.connect('source', database);
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%s on %s', tgname, tgrelid::regclass) AS name FROM pg_trigger WHERE tgenabled = 'O' AND NOT tgisinternal`,
    );
    const found = new Set(rows.map(({ name }) => name));
    const wanted = tables.flatMap((table) =>
      ['bucardo_delta', `bucardo_kick_${SYNC}`].map((name) => `${name} on ${table}`),
    );
    const missing = wanted.filter((name) => !found.has(name));
    if (missing.length > 0) throw new Failure(`Bucardo has not installed its triggers: ${missing.join(', ')}`);
  } finally {
    await client.end();
  }
}

/** A Bucardo of the peers' side, with triggers of its own making. One at a time, since all share one database. */
export class Bucardo {
  /** How long the adding of its sync took, which installs its triggers. */
  installSeconds = Number.NaN;

  private constructor(
    private readonly servers: BenchServers,
    private readonly host: HostConfig,
  ) {}

  /** Makes its database, and one inactive sync over these tables; that installs its triggers on the source. */
  static async setUp(
    servers: BenchServers,
    database: string,
    tables: readonly string[],
    setup: BucardoSetup,
  ): Promise<Bucardo> {
    const host: HostConfig = {
      ...servers.config(database).host,
      stateDirectory: join(servers.directory, 'state', 'bucardo'),
      runDirectory: join(servers.directory, 'run', 'bucardo'),
    };
    const bucardo = new Bucardo(servers, host);
    await killBucardo(host);
    await bucardo.install();
    bucardo.installSeconds = await seconds(() => bucardo.configure(database, tables, setup));
    return bucardo;
  }

  /** All of its processes. */
  processes(): number[] {
    return bucardoProcesses(this.host);
  }

  /** Starts it and waits until a run has applied something. Returns the seconds of that run. */
  async drain(): Promise<number> {
    return this.running(() => this.appliedSince('inserts > 0'));
  }

  /** Starts it and waits until its one-time copy is done. Returns the seconds of that run. */
  async copyOnce(): Promise<number> {
    return this.running(() => this.appliedSince('true'));
  }

  /** Starts it for as long as work goes on. */
  async running<T>(work: () => Promise<T>): Promise<T> {
    try {
      await this.start();
      return await work();
    } finally {
      await this.stop();
    }
  }

  /** Starts it with its sync active, and waits until that has a controller. Throws Failure with its own last words. */
  async start(): Promise<void> {
    await this.control(`UPDATE bucardo.sync SET status = 'active'`);
    await this.control('DELETE FROM bucardo.syncrun');
    await runBucardo(this.host, [
      'start',
      '--sendmail=0',
      '--quiet',
      `--extraname=${processTag(this.host)}`,
      `--logdest=${logDirectory(this.host)}`,
    ]);
    const controller = join(pidDirectory(this.host), `bucardo.ctl.sync.${SYNC}.pid`);
    await this.until(async () => existsSync(controller), START_TIMEOUT_MS, 'start');
  }

  /** Kills all of its processes. */
  stop(): Promise<void> {
    return killBucardo(this.host);
  }

  private async appliedSince(condition: string): Promise<number> {
    let seconds = 0;
    const finished = async (): Promise<boolean> => {
      const { rows } = await this.control(
        `SELECT sum(extract(epoch FROM ended - started))::float8 AS seconds FROM bucardo.syncrun
         WHERE ended IS NOT NULL AND NOT lastbad AND ${condition} HAVING count(*) > 0`,
      );
      seconds = (rows[0] as { seconds: number } | undefined)?.seconds ?? 0;
      return rows.length > 0;
    };
    await this.until(finished, RUN_TIMEOUT_MS, 'end its run');
    return seconds;
  }

  private async until(done: () => Promise<boolean>, timeoutMs: number, what: string): Promise<void> {
    const began = Date.now();
    while (!(await done())) {
      const { rows } = await this.control(`SELECT status FROM bucardo.syncrun WHERE lastbad ORDER BY started LIMIT 1`);
      const bad = (rows[0] as { status: string } | undefined)?.status;
      const gone = Date.now() - began > START_TIMEOUT_MS && this.processes().length === 0;
      if (bad !== undefined || gone || Date.now() - began > timeoutMs) {
        throw new Failure(`Bucardo does not ${what}: ${bad ?? lastWords(this.host)}`);
      }
      await sleep(POLL_MS);
    }
  }

  private async control(text: string): Promise<{ rows: unknown[] }> {
    const client = await this.servers.host.admin('bucardo');
    try {
      return await client.query(text);
    } finally {
      await client.end();
    }
  }

  private async install(): Promise<void> {
    const { postgres } = this.host;
    const admin = await this.servers.host.admin();
    await admin.query('DROP DATABASE IF EXISTS bucardo WITH (FORCE)');
    const known = await admin.query(`SELECT 1 FROM pg_roles WHERE rolname = 'bucardo'`);
    if (known.rowCount === 0) await admin.query('CREATE ROLE bucardo SUPERUSER LOGIN');
    await admin.end();
    rmSync(logDirectory(this.host), { recursive: true, force: true });
    const address = [`--dbhost=${postgres.host}`, `--dbport=${postgres.port}`, `--dbuser=${postgres.user}`];
    await runBucardo(
      this.host,
      ['install', '--batch', '--quiet', `--piddir=${pidDirectory(this.host)}`, ...address, '--dbname=postgres'],
      'postgres',
    );
  }

  private async configure(database: string, tables: readonly string[], setup: BucardoSetup): Promise<void> {
    const client = await this.servers.host.admin('bucardo');
    try {
      await client.query('BEGIN');
      const files = { reason_file: 'restart.reason', warning_file: 'warning.log', log_conflict_file: 'conflict.log' };
      // A trigger of Bucardo's turns settings into lower case, these paths among them, so it is kept from firing.
      await client.query(`SET LOCAL session_replication_role = 'replica'`);
      const paths = Object.entries(files).map(([name, file]) => [name, join(logDirectory(this.host), file)] as const);
      for (const [name, value] of [...paths, ['piddir', pidDirectory(this.host)] as const]) {
        await client.query('UPDATE bucardo.bucardo_config SET setting = $2 WHERE name = $1', [name, value]);
      }
      await client.query(`SET LOCAL session_replication_role = 'origin'`);
      for (const [name, value] of Object.entries(setup.settings ?? {})) {
        await client.query('UPDATE bucardo.bucardo_config SET setting = $2 WHERE name = $1', [name, value]);
      }
      await this.addEnds(client, database, setup);
      await client.query('INSERT INTO bucardo.herd (name) VALUES ($1)', [SYNC]);
      for (const table of tables) {
        const { rows } = await client.query(
          `INSERT INTO bucardo.goat (db, schemaname, tablename, reltype) VALUES ('source', 'public', $1, 'table') RETURNING id`,
          [table],
        );
        await client.query('INSERT INTO bucardo.herdmap (herd, goat) VALUES ($1, $2)', [
          SYNC,
          (rows[0] as { id: number }).id,
        ]);
      }
      await client.query(
        `INSERT INTO bucardo.sync (name, herd, dbs, status, autokick, checktime, strict_checking, onetimecopy)
         VALUES ($1, $1, $1, 'inactive', $2, $3, false, $4)`,
        [SYNC, setup.sync.autokick, setup.sync.checktime, setup.sync.onetimecopy ?? 0],
      );
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
  }

  private async addEnds(client: Client, database: string, setup: BucardoSetup): Promise<void> {
    const { source } = this.servers.config(database);
    const options = Object.entries(setup.session ?? {}).map(([name, value]) => `-c ${name}=${value}`);
    await client.query('INSERT INTO bucardo.dbgroup (name) VALUES ($1)', [SYNC]);
    for (const end of ['source', 'target'] as const) {
      const { host, port } = this.servers[end];
      await client.query(
        `INSERT INTO bucardo.db (name, dbhost, dbport, dbname, dbuser, dbpass, dbconn) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
        [
          end,
          host,
          port,
          source.database,
          this.servers.login.user,
          this.servers.login.password,
          end === 'source' && options.length > 0 ? `options='${options.join(' ')}'` : '',
        ],
      );
      await client.query('INSERT INTO bucardo.dbmap (db, dbgroup, role) VALUES ($1, $2, $1)', [end, SYNC]);
    }
  }
}
