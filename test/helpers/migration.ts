import { mkdirSync, mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { AgentConfig } from '../../assets/agent/config';
import { Context } from '../../assets/agent/context';
import { ON_ONE_MACHINE, withOverrides } from '../../lib/rehearsal/one-machine';
import { startPostgres, type TestPostgres } from './postgres';

/** Passwords that break whoever quotes by hand. */
export const PASSWORD = `it's "a" @:/=%# \\ $1`;

/** A source of PostgreSQL 11, an RDS-like target of 17 and a host of 15, with the host program's settings for them. */
export interface TestMigration {
  readonly source: TestPostgres;
  readonly target: TestPostgres;
  /** The server of the host's own memory. */
  readonly host: TestPostgres;
  readonly config: AgentConfig;
  /** Directory of the secrets `source`, `target` and `login`. */
  readonly secrets: string;
  /** A superuser's session in a database: of `mover`, who owns what is migrated, on the source. */
  admin(end: 'source' | 'target', database?: string): Promise<Client>;
  /** Makes an empty pair of databases; further contexts are for it. The old pair stays. */
  fresh(): Promise<void>;
  /** A context as a phase has it; closed by `stop` at the latest. */
  context(phase: string, overrides?: Partial<AgentConfig>): Promise<Context>;
  stop(): Promise<void>;
}

/** What a test may ask of its servers. */
export interface MigrationOptions {
  /** Slower; a cutover refuses an end that would forget what it has committed. */
  readonly durable?: boolean;
  /** `shared_preload_libraries` of both ends. */
  readonly preload?: string;
  /** Directory, of a volume, for the host's state and its own PostgreSQL. @default the system's for temporary files */
  readonly hostVolume?: string;
}

/** Starts the three servers. The target's login is no superuser, as on RDS; the source's owns what it migrates. */
export async function startMigration({
  durable = false,
  preload = '',
  hostVolume,
}: MigrationOptions = {}): Promise<TestMigration> {
  const fsync = durable ? 'on' : 'off';
  const ends = { max_prepared_transactions: '5', fsync, shared_preload_libraries: preload };
  const [source, target, host] = await Promise.all([
    startPostgres({ version: 11, password: PASSWORD, settings: ends }),
    startPostgres({ version: 17, password: PASSWORD, settings: ends }),
    startPostgres({ version: 15, ...(hostVolume !== undefined && { within: hostVolume }) }),
  ]);
  const root = mkdtempSync(join(tmpdir(), 'ibex-migration-'));
  const contexts: Context[] = [];
  let number = 0;
  let config = {} as AgentConfig;
  const setUp = await target.connect();
  await setUp.query(`CREATE ROLE rds_superuser NOLOGIN`);
  await setUp.query('GRANT SET ON PARAMETER session_replication_role TO rds_superuser');
  await setUp.query(`CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  await setUp.query('GRANT rds_superuser TO master WITH ADMIN OPTION');
  await setUp.end();
  // Not the bootstrap superuser: on the target that name belongs to a superuser, as `rdsadmin` does on RDS.
  const sourceSetUp = await source.connect();
  await sourceSetUp.query(`CREATE ROLE mover SUPERUSER LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  await sourceSetUp.end();

  const fresh = async (): Promise<void> => {
    number += 1;
    const database = `app${number}`;
    for (const [server, owner] of [
      [source, 'mover'],
      [target, 'master'],
    ] as const) {
      const client = await server.connect();
      await client.query(`CREATE DATABASE ${database} OWNER ${owner}`);
      await client.end();
    }
    const directory = join(root, database);
    mkdirSync(join(directory, 'secrets'), { recursive: true });
    const secret = (name: string, username: string): void => {
      const file = join(directory, 'secrets', name);
      writeFileSync(file, JSON.stringify({ username, password: PASSWORD }), { mode: 0o600 });
      chmodSync(file, 0o600);
    };
    secret('source', 'mover');
    secret('target', 'master');
    secret('login', 'application');
    config = {
      migration: 'test',
      secrets: { kind: 'directory', path: join(directory, 'secrets') },
      source: { secret: 'source', host: source.host, port: source.port, database, sslmode: 'disable' },
      target: { secret: 'target', host: target.host, port: target.port, database, sslmode: 'disable' },
      host: {
        stateDirectory: join(hostVolume ?? root, database, 'state'),
        runDirectory: join(directory, 'run'),
        postgres: { host: host.host, port: host.port, user: host.user },
        clientTools: '/usr/bin',
        bucardo: '/usr/bin/bucardo',
      },
      ...withOverrides(ON_ONE_MACHINE, {
        capture: { attempts: 3 },
        copy: { method: 'stream', chunkMegabytes: 1, maintenanceWorkMemMb: 32 },
        sync: { handoverKeys: 100, takeBackKeys: 5_000, syncs: 1 },
        verify: { chunkRows: 1_000, settleSeconds: 1 },
        cutover: { sequenceMargin: 100 },
        watch: { everySeconds: 1, badLooks: 3 },
        ready: {
          backlogKeys: 1_000,
          transactionSeconds: 1,
          health: { source: [], target: [], command: [], timeoutSeconds: 2 },
        },
      }),
    };
    const state = await host.connect();
    await state.query('DROP DATABASE IF EXISTS ibex WITH (FORCE)');
    await state.end();
  };
  await fresh();

  return {
    source,
    target,
    host,
    get config() {
      return config;
    },
    admin: async (end, database = config[end].database) => {
      const client = await (end === 'source' ? source : target).connect(database);
      if (end === 'source') await client.query('SET SESSION AUTHORIZATION mover');
      return client;
    },
    get secrets() {
      return config.secrets.kind === 'directory' ? config.secrets.path : '';
    },
    fresh,
    context: async (phase, overrides = {}) => {
      const context = await Context.create({ ...config, ...overrides }, phase);
      contexts.push(context);
      return context;
    },
    stop: async () => {
      await Promise.all(contexts.map((context) => context.close()));
      await Promise.all([source.stop(), target.stop(), host.stop()]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}
