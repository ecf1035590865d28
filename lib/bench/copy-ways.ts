import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../assets/agent/capture';
import { dropCapture } from '../../assets/agent/cleanup/source';
import type { AgentConfig } from '../../assets/agent/config';
import { buildConstraints } from '../../assets/agent/constraints';
import { Context } from '../../assets/agent/context';
import { copyAll } from '../../assets/agent/copy';
import { copySchema } from '../../assets/agent/schema';
import type { Way } from './benchmark';
import { Bucardo, removeBucardo, STOCK } from './bucardo';
import { missing, runProgram, seconds } from './program';
import type { BenchServers } from './servers';

/** A way to bring a whole database from the source to an empty one on the target, ANALYZE included. */
export interface CopyWay extends Way {
  /** Runs it; what comes before and after the time that counts is up to `run`. Returns seconds. */
  run(servers: BenchServers, database: string): Promise<number>;
}

async function analyze(servers: BenchServers, database: string): Promise<void> {
  const target = await servers.connect('target', database);
  await target.query('ANALYZE');
  await target.end();
}

/** `pgcopydb clone` with two jobs of each kind; it vacuums and analyzes by itself. */
export const pgcopydb: CopyWay = {
  name: 'pgcopydb clone',
  get absent() {
    return missing('pgcopydb');
  },
  run: async (servers, database) => {
    const directory = join(servers.directory, 'pgcopydb');
    rmSync(directory, { recursive: true, force: true });
    const args = [
      'clone',
      `--source=${servers.address('source', database)}`,
      `--target=${servers.address('target', database)}`,
      '--table-jobs=2',
      '--index-jobs=2',
      '--no-owner',
      `--dir=${directory}`,
    ];
    return seconds(() => runProgram('pgcopydb', args, servers.environment));
  },
};

/** pg_dump -Fd -j2 without compression, then pg_restore -j2. */
export const dumpRestore: CopyWay = {
  name: 'pg_dump + pg_restore',
  run: async (servers, database) => {
    const directory = join(servers.directory, 'dump');
    rmSync(directory, { recursive: true, force: true });
    const tool = (name: string, args: readonly string[]): Promise<string> =>
      runProgram(join(servers.tools, name), args, servers.environment);
    const address = (end: 'source' | 'target'): string => servers.address(end, database);
    const took = await seconds(async () => {
      await tool('pg_dump', ['-Fd', '-j2', '-Z0', '-f', directory, '-d', address('source')]);
      await tool('pg_restore', ['-j2', '-d', address('target'), directory]);
      await analyze(servers, database);
    });
    rmSync(directory, { recursive: true, force: true });
    return took;
  },
};

/** pg_dump into psql. */
export const dumpPipe: CopyWay = {
  name: 'pg_dump | psql',
  run: async (servers, database) =>
    seconds(async () => {
      await pipeDump(servers, database);
      await analyze(servers, database);
    }),
};

async function pipeDump(servers: BenchServers, database: string, ...flags: readonly string[]): Promise<void> {
  const pipe = 'set -euo pipefail; "$1" -d "$2" "${@:5}" | "$3" -q -X -v ON_ERROR_STOP=1 -d "$4"';
  const tool = (name: string): string => join(servers.tools, name);
  const ends = [servers.address('source', database), servers.address('target', database)] as const;
  const args = ['-c', pipe, 'bash', tool('pg_dump'), ends[0], tool('psql'), ends[1], ...flags];
  await runProgram('bash', args, servers.environment);
}

/** Stock Bucardo's onetimecopy into the schema that pg_dump makes, indexes included; all by one process, row by row. */
export const onetimecopy: CopyWay = {
  name: 'Bucardo onetimecopy',
  mostRounds: 1,
  run: async (servers, database) => {
    const schema = await seconds(() => pipeDump(servers, database, '--schema-only'));
    const source = await servers.connect('source', database);
    const { rows } = await source.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    );
    await source.end();
    const sync = { ...STOCK.sync, onetimecopy: 1 };
    const tables = rows.map(({ name }) => name);
    try {
      const bucardo = await Bucardo.setUp(servers, database, tables, { sync });
      const copied = await bucardo.copyOnce();
      return schema + copied + (await seconds(() => analyze(servers, database)));
    } finally {
      await removeBucardo(servers, database);
    }
  },
};

/** Runs one phase of the host program in this process. */
export async function runPhase<T>(
  config: AgentConfig,
  name: string,
  work: (context: Context) => Promise<T>,
): Promise<T> {
  const context = await Context.create(config, name);
  try {
    return await work(context);
  } finally {
    await context.close();
  }
}

/** Forgets everything that the host program knows of a migration. */
export async function forgetState(servers: BenchServers, config: AgentConfig): Promise<void> {
  rmSync(config.host.stateDirectory, { recursive: true, force: true });
  mkdirSync(config.host.stateDirectory, { recursive: true });
  const admin = await servers.host.admin();
  await admin.query('DROP DATABASE IF EXISTS ibex WITH (FORCE)');
  await admin.end();
}

/** Takes capture off the source, and our own schema off the target. */
export const forgetCapture = (config: AgentConfig): Promise<void> =>
  runPhase(config, 'cleanup', async (context) => {
    await dropCapture(context, await context.connect('source'));
    await dropCapture(context, await context.connect('target'), 'ibex');
  });

/**
 * Ibex: schema, copy, constraints. Capture, which the others do not have, is there before and is not counted.
 *
 * @param captured told how long that took; seconds
 */
export const stream = (
  copy: Partial<AgentConfig['copy']> = {},
  captured: (took: number) => void = () => undefined,
): CopyWay => ({
  name: 'Ibex stream',
  run: async (servers, database) => {
    const defaults = servers.config(database);
    const config = { ...defaults, copy: { ...defaults.copy, ...copy } };
    await forgetState(servers, config);
    const before = await seconds(() => runPhase(config, 'schema', copySchema));
    captured(await seconds(() => runPhase(config, 'capture', (context) => capture.run(context))));
    const after = await seconds(async () => {
      await runPhase(config, 'copy', (context) => copyAll(context));
      await runPhase(config, 'sync', async (context) => buildConstraints(context, await context.connect('target')));
    });
    await forgetCapture(config);
    return before + after;
  },
});
