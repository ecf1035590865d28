import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../assets/agent/capture';
import { Failure } from '../../assets/agent/errors';
import { bundle } from '../bundle';
import { cloneDatabase, expectEqualAccounts, makeAccounts, makeBacklog, QUEUE, TABLE } from './backlog';
import { inTurn, type Bench, type Benchmark, type Figures, type Way } from './benchmark';
import { Bucardo, STOCK, TUNED, type BucardoSetup } from './bucardo';
import { forgetState, runPhase } from './copy-ways';
import { dropDatabase } from './data';
import { processTree, watchMemory } from './process-memory';
import type { BenchServers } from './servers';
import { median, ratio, type Series } from './statistics';

/** Something that applies a backlog. */
interface Applier extends Way {
  readonly database: string;
  /** Installs what notes changes. */
  prepare(servers: BenchServers): Promise<void>;
  /** Applies the backlog. Seconds, and the most memory that all its processes had together, in MB. */
  apply(servers: BenchServers): Promise<{ readonly seconds: number; readonly megabytes: number }>;
}

const ibex: Applier = {
  name: 'Ibex catch-up',
  database: 'applied_by_ibex',
  prepare: async (servers) => {
    const config = servers.config(ibex.database);
    await forgetState(servers, config);
    await runPhase(config, 'capture', (context) => capture.run(context));
  },
  apply: async (servers) => {
    const config = servers.config(ibex.database);
    mkdirSync(config.host.runDirectory, { recursive: true });
    const [program, settings] = [join(servers.directory, 'catch-up.js'), join(servers.directory, 'catch-up.json')];
    bundle({ entry: 'lib/bench/catch-up-process.ts', outFile: program, target: 'node20' });
    writeFileSync(settings, JSON.stringify(config), { mode: 0o600 });
    const child = spawn(process.execPath, [program, settings], { stdio: ['ignore', 'pipe', 'pipe'] });
    const memory = watchMemory(() => (child.pid === undefined ? [] : processTree(child.pid)));
    let [printed, said] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (printed += text.toString()));
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
    const megabytes = memory.stop();
    if (code !== 0) throw new Failure(`catch-up failed: ${said.trim()}`);
    return { seconds: (JSON.parse(printed) as { seconds: number }).seconds, megabytes };
  },
};

function bucardo(name: string, database: string, setup: BucardoSetup): Applier {
  return {
    name,
    database,
    prepare: async (servers) => void (await Bucardo.setUp(servers, database, [TABLE], setup)),
    apply: async (servers) => {
      const daemon = await Bucardo.setUp(servers, database, [TABLE], setup);
      const memory = watchMemory(() => daemon.processes());
      const seconds = await daemon.drain();
      return { seconds, megabytes: memory.stop() };
    },
  };
}

const stock = bucardo('stock Bucardo', 'applied_by_stock', STOCK);
const tuned = bucardo('tuned Bucardo', 'applied_by_tuned', TUNED);

/** The application of a backlog of changed keys. */
export const catchUp: Benchmark = {
  name: 'catch-up',
  title: 'Application of a backlog',
  about:
    'Rows all over a table of about 100 bytes each were changed; their keys wait in the queue. Each way brings the target to the present rows; programs run already when the time begins. Memory is that of all processes together: for Bucardo its master, controllers and children.',
  run: async (bench) => {
    const changed = bench.quick ? 50_000 : 1_000_000;
    const rows = 2 * changed;
    const ways = [stock, tuned, ibex];
    await makeAccounts(bench.servers, 'accounts', rows);
    const memory = new Map<Applier, number[]>(ways.map((way) => [way, []]));
    for (const way of ways) {
      await cloneDatabase(bench.servers, 'accounts', way.database);
      await way.prepare(bench.servers);
    }
    const times = await inTurn(
      ways,
      bench.quick ? 1 : 3,
      async (way) => {
        const { seconds, megabytes } = await applied(bench, way, rows, changed);
        memory.get(way)?.push(megabytes);
        return seconds;
      },
      (way, round, seconds) => bench.log(`round ${round}: ${way.name} ${seconds.toFixed(1)} s`),
    );
    for (const name of ['accounts', ...ways.map((way) => way.database)]) await dropDatabase(bench.servers, name);
    const megabytes: Series[] = [...memory].map(([way, values]) => ({ way: way.name, values }));
    const figures: { -readonly [K in keyof Figures]?: Figures[K] } = {
      catchUpMemoryMb1M: median(memory.get(ibex) ?? []),
    };
    const [speedup, vsTuned] = [ratio(times, stock.name, ibex.name), ratio(times, tuned.name, ibex.name)];
    if (speedup !== undefined) figures.catchUpSpeedup = speedup;
    if (vsTuned !== undefined) figures.catchUpVsTuned = vsTuned;
    return {
      figures,
      charts: [
        { title: `${changed.toLocaleString('en')} changed keys: time`, unit: 's', series: times },
        { title: `${changed.toLocaleString('en')} changed keys: peak memory`, unit: 'MB', series: megabytes },
      ],
      notes: [],
    };
  },
};

/** Ten times the backlog, which Bucardo would hold in memory. */
export const longBacklog: Benchmark = {
  name: 'long-backlog',
  title: 'A long backlog',
  about:
    'The same with ten million keys, every row changed, by Ibex alone, in one round: memory must not grow with the backlog.',
  run: async (bench) => {
    const changed = bench.quick ? 200_000 : 10_000_000;
    await makeAccounts(bench.servers, ibex.database, changed);
    await ibex.prepare(bench.servers);
    const { seconds, megabytes } = await applied(bench, ibex, changed, changed);
    bench.log(`${ibex.name} ${seconds.toFixed(1)} s, ${megabytes.toFixed(0)} MB`);
    await dropDatabase(bench.servers, ibex.database);
    const title = `${changed.toLocaleString('en')} changed keys`;
    return {
      figures: { catchUpMemoryMb10M: megabytes },
      charts: [
        { title: `${title}: time`, unit: 's', series: [{ way: ibex.name, values: [seconds] }] },
        { title: `${title}: peak memory`, unit: 'MB', series: [{ way: ibex.name, values: [megabytes] }] },
      ],
      notes: [],
    };
  },
};

async function applied(
  { servers }: Bench,
  way: Applier,
  rows: number,
  changed: number,
): Promise<{ readonly seconds: number; readonly megabytes: number }> {
  await emptyQueue(servers, way.database);
  await makeBacklog(servers, way.database, rows, changed);
  const result = await way.apply(servers);
  await expectEqualAccounts(servers, way.database, way.name);
  return result;
}

/** Bucardo forgets what it has applied only after a minute; the next round begins as the first did. */
async function emptyQueue(servers: BenchServers, database: string): Promise<void> {
  const client = await servers.connect('source', database);
  await client.query(`TRUNCATE ${QUEUE}, ${QUEUE.replace('delta_', 'track_')}`);
  await client.query(`VACUUM ${TABLE}`);
  await client.end();
  const target = await servers.connect('target', database);
  await target.query(`VACUUM ${TABLE}`);
  await target.end();
}
