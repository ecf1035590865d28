import { Failure } from '../../assets/agent/errors';
import { absentees, inTurn, type Bench, type Benchmark, type Outcome } from './benchmark';
import { dumpPipe, dumpRestore, pgcopydb, stream, type CopyWay } from './copy-ways';
import { dropDatabase, makeData, makeManyTables, type BenchData } from './data';
import { watchSnapshots } from './oldest-snapshot';
import type { BenchServers } from './servers';
import { median, ratio, type Series } from './statistics';

const DATABASE = 'copied';

/** The size at which ways are compared; 1.4 GB with indexes. */
const FULL: BenchData = { scale: 40, wideRows: 1_200_000 };

/** Sizes beside it, so that growth shows; about 0.5 and 4 GB. */
const SMALL: BenchData = { scale: 14, wideRows: 430_000 };
const LARGE: BenchData = { scale: 114, wideRows: 3_430_000 };

const QUICK: BenchData = { scale: 3, wideRows: 80_000 };

/** Tables of the database that is all schema. */
const MANY_TABLES = 2_000;

/** The stream copy beside other ways to copy a whole database. */
export const copy: Benchmark = {
  name: 'copy',
  title: 'Copy of a whole database',
  about:
    'Each way brings the same database into an empty one, until it has the same rows, the same catalogs and fresh statistics. All have two jobs of each kind.',
  run: async (bench) => {
    const ways = [pgcopydb, dumpRestore, dumpPipe, stream()];
    const sizes = bench.quick ? [QUICK] : [FULL, SMALL, LARGE];
    const charts: Outcome['charts'][number][] = [];
    const notes = [
      'The largest database and the one of many tables have one round each, and no part in the figures: they show growth.',
      ...absentees(ways),
    ];
    let compared: readonly Series[] = [];
    for (const [index, size] of sizes.entries()) {
      // The pipe alone works with one process and takes the longest, so the largest database is spared it.
      const some = size === LARGE ? ways.filter((way) => way !== dumpPipe) : ways;
      const bytes = await makeData(bench.servers, DATABASE, size);
      const series = await measureCopies(bench, DATABASE, some, bench.quick || size === LARGE ? 1 : 3);
      if (index === 0) compared = series;
      charts.push({ title: `${(bytes / 1e9).toFixed(1)} GB with indexes`, unit: 's', series });
      await dropDatabase(bench.servers, DATABASE);
    }
    const tables = bench.quick ? 100 : MANY_TABLES;
    await makeManyTables(bench.servers, DATABASE, tables);
    const many = await measureCopies(bench, DATABASE, ways, 1);
    charts.push({ title: `${tables.toLocaleString('en')} tables, a few rows each`, unit: 's', series: many });
    await dropDatabase(bench.servers, DATABASE);
    const ours = stream().name;
    return {
      figures: {
        ...present('copyVsPgcopydb', ratio(compared, ours, pgcopydb.name)),
        ...present('copyVsDumpRestore', ratio(compared, ours, dumpRestore.name)),
      },
      charts,
      notes,
    };
  },
};

const present = <K extends string>(key: K, value: number | undefined): Partial<Record<K, number>> =>
  value === undefined ? {} : ({ [key]: value } as Record<K, number>);

/** How long the source must keep old rows for the stream copy. */
export const snapshots: Benchmark = {
  name: 'snapshots',
  title: 'Oldest snapshot on the source while it is copied',
  about:
    'The age of the oldest snapshot of any session of ours, looked at ten times a second, in chunks of 64 MB. A dump holds one snapshot from its first to its last row.',
  run: async (bench) => {
    await makeData(bench.servers, DATABASE, bench.quick ? QUICK : SMALL);
    const rounds = bench.quick ? 1 : 3;
    const [ages, times]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      await emptyTarget(bench.servers, DATABASE);
      const watch = await watchSnapshots(bench.servers);
      times.push(await stream({ chunkMegabytes: 64 }).run(bench.servers, DATABASE));
      ages.push(await watch.stop());
    }
    await dropDatabase(bench.servers, DATABASE);
    return {
      figures: { oldestSnapshotSeconds: median(ages) },
      charts: [
        {
          title: 'Oldest snapshot, and the whole copy',
          unit: 's',
          series: [
            { way: 'oldest snapshot', values: ages },
            { way: 'whole copy', values: times },
          ],
        },
      ],
      notes: [],
    };
  },
};

/** Runs each way into an empty database, and proves that all have brought the same rows and catalogs. */
async function measureCopies(
  { servers, log }: Bench,
  database: string,
  ways: readonly CopyWay[],
  rounds: number,
): Promise<Series[]> {
  const expected = await contentsOf(servers, 'source', database);
  return inTurn(
    ways,
    rounds,
    async (way) => {
      await emptyTarget(servers, database);
      const took = await way.run(servers, database);
      const found = await contentsOf(servers, 'target', database);
      if (found !== expected) throw new Failure(`${way.name} brought ${found} instead of ${expected}`);
      return took;
    },
    (way, round, took) => log(`round ${round}: ${way.name} ${took.toFixed(1)} s`),
  );
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

/** What differs between majors in the catalogs' text, such as an explicit schema, is not asked for. */
const CATALOGS = `
  SELECT md5(concat(
    (SELECT string_agg(indexdef, ',' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'public'),
    (SELECT string_agg(format('%s.%s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull), ','
       ORDER BY attrelid::regclass::text, attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped),
    (SELECT string_agg(format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)), ',' ORDER BY conrelid::regclass::text, conname)
     FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'),
    (SELECT string_agg(format('%s %s', sequencename, last_value), ',' ORDER BY sequencename) FROM pg_sequences WHERE schemaname = 'public'))) AS n,
    (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reltuples < 0) AS unanalyzed`;

/** Rows of each table and digests of the catalogs, in a form that is equal on both ends. */
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
    const { rows: catalogs } = await client.query<{ n: string; unanalyzed: string }>(CATALOGS);
    return [...counts, catalogs[0]?.n, `${catalogs[0]?.unanalyzed} without statistics`].join(', ');
  } finally {
    await client.end();
  }
}
