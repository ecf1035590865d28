import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../assets/agent/capture';
import { dropCapture } from '../../assets/agent/cleanup/source';
import type { AgentConfig } from '../../assets/agent/config';
import { buildConstraints } from '../../assets/agent/constraints';
import { Context } from '../../assets/agent/context';
import { copyAll } from '../../assets/agent/copy';
import { Failure } from '../../assets/agent/errors';
import { copySchema } from '../../assets/agent/schema';
import type { BenchServers } from './servers';

/** A way to bring a whole database from the source to an empty one on the target, ANALYZE included. */
export interface CopyWay {
  readonly name: string;
  /** Runs it; what comes before and after the time that counts is up to `run`. Returns seconds. */
  run(servers: BenchServers, database: string): Promise<number>;
}

/** How long something takes; seconds. */
async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

async function program(servers: BenchServers, name: string, args: readonly string[]): Promise<void> {
  const child = spawn(name, args, {
    env: { ...process.env, ...servers.environment, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-2_000)));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Failure(`${name} ${args.join(' ')} failed: ${said}`);
}

async function analyze(servers: BenchServers, database: string): Promise<void> {
  const target = await servers.connect('target', database);
  await target.query('ANALYZE');
  await target.end();
}

/** `pgcopydb clone` with two jobs of each kind; it vacuums and analyzes by itself. */
export const pgcopydb: CopyWay = {
  name: 'pgcopydb clone',
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
    return seconds(() => program(servers, 'pgcopydb', args));
  },
};

/** pg_dump -Fd -j2 without compression, then pg_restore -j2. */
export const dumpRestore: CopyWay = {
  name: 'pg_dump + pg_restore',
  run: async (servers, database) => {
    const directory = join(servers.directory, 'dump');
    rmSync(directory, { recursive: true, force: true });
    const tool = (name: string): string => join(servers.tools, name);
    const address = (end: 'source' | 'target'): string => servers.address(end, database);
    const took = await seconds(async () => {
      await program(servers, tool('pg_dump'), ['-Fd', '-j2', '-Z0', '-f', directory, '-d', address('source')]);
      await program(servers, tool('pg_restore'), ['-j2', '-d', address('target'), directory]);
      await analyze(servers, database);
    });
    rmSync(directory, { recursive: true, force: true });
    return took;
  },
};

/** Ibex: schema, copy, constraints. Capture, which the others do not have, is there before and is not counted. */
export const stream = (copy: Partial<AgentConfig['copy']> = {}): CopyWay => ({
  name: 'Ibex stream',
  run: async (servers, database) => {
    const config = servers.config(database);
    const settings = { ...config, copy: { ...config.copy, ...copy } };
    const phase = async <T>(name: string, work: (context: Context) => Promise<T>): Promise<T> => {
      const context = await Context.create(settings, name);
      try {
        return await work(context);
      } finally {
        await context.close();
      }
    };
    rmSync(config.host.stateDirectory, { recursive: true, force: true });
    mkdirSync(config.host.stateDirectory, { recursive: true });
    const state = await servers.host.admin();
    await state.query('DROP DATABASE IF EXISTS ibex WITH (FORCE)');
    await state.end();
    const before = await seconds(() => phase('schema', copySchema));
    await phase('capture', (context) => capture.run(context));
    const after = await seconds(async () => {
      await phase('copy', (context) => copyAll(context));
      await phase('sync', async (context) => buildConstraints(context, await context.connect('target')));
    });
    await phase('cleanup', async (context) => {
      await dropCapture(context, await context.connect('source'));
      await dropCapture(context, await context.connect('target'), 'ibex');
    });
    return before + after;
  },
});

/** One measured copy. */
export interface CopyFigure {
  readonly way: string;
  readonly seconds: readonly number[];
}

/**
 * Runs each way in turn, round after round, each into an empty database that is dropped afterwards, and proves that all
 * have brought the same rows and indexes.
 */
export async function measureCopies(
  servers: BenchServers,
  database: string,
  ways: readonly CopyWay[],
  rounds: number,
  log: (line: string) => void,
): Promise<CopyFigure[]> {
  const figures = ways.map((way) => ({ way: way.name, seconds: [] as number[] }));
  const expected = await contentsOf(servers, 'source', database);
  for (let round = 1; round <= rounds; round += 1) {
    for (const [index, way] of ways.entries()) {
      await emptyTarget(servers, database);
      const took = await way.run(servers, database);
      const found = await contentsOf(servers, 'target', database);
      if (found !== expected) throw new Failure(`${way.name} brought ${found} instead of ${expected}`);
      figures[index]?.seconds.push(took);
      log(`round ${round}: ${way.name} ${took.toFixed(1)} s`);
    }
  }
  return figures;
}

async function emptyTarget(servers: BenchServers, database: string): Promise<void> {
  const admin = await servers.connect('target');
  await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.query('CHECKPOINT');
  await admin.end();
  const source = await servers.connect('source');
  await source.query('CHECKPOINT');
  await source.end();
}

/** Rows of each table and definitions of all indexes, in a form that is equal on both ends. */
async function contentsOf(servers: BenchServers, end: 'source' | 'target', database: string): Promise<string> {
  const client = await servers.connect(end, database);
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    );
    const counts: string[] = [];
    for (const { name } of rows) {
      const { rows: found } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${name}`);
      counts.push(`${name} ${found[0]?.n}`);
    }
    const { rows: indexes } = await client.query<{ n: string }>(
      `SELECT md5(string_agg(indexdef, ',' ORDER BY indexdef)) AS n FROM pg_indexes WHERE schemaname = 'public'`,
    );
    return [...counts, indexes[0]?.n].join(', ');
  } finally {
    await client.end();
  }
}

/** The middle one of an odd number of values. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
