import { oneLine } from '../../assets/agent/errors';
import {
  absentees,
  inTurn,
  isLate,
  onlyRounds,
  type Bench,
  type Benchmark,
  type Growth,
  type Turns,
} from './benchmark';
import { expectEqualDatabases, tableCounts } from './contents';
import { dumpPipe, dumpRestore, onetimecopy, pgcopydb, stream, type CopyWay } from './copy-ways';
import type { BenchData } from './data';
import { LARGE, MEDIUM, SMALL, TINY } from './data-sets';
import { watchSnapshots } from './oldest-snapshot';
import type { BenchServers } from './servers';
import { median, medianFigure, ratio } from './statistics';

const WAYS = [pgcopydb, dumpRestore, dumpPipe, stream()];

/** What is measured at one size. The pipe has one process, and the onetimecopy one that copies row by row. */
interface Size {
  readonly data: BenchData;
  readonly ways: readonly CopyWay[];
  readonly rounds: number;
}

/** Time for the rounds of a size that has no part in the figures; a slow machine has fewer of them. Minutes. */
const MINUTES_BESIDE = 1.3;

const SIZES: readonly Size[] = [
  { data: MEDIUM, ways: WAYS.filter((way) => way !== dumpPipe), rounds: 3 },
  { data: SMALL, ways: [...WAYS, onetimecopy], rounds: 3 },
  { data: LARGE, ways: [pgcopydb, stream()], rounds: 1 },
];

const QUICK_SIZES: readonly Size[] = [{ data: TINY, ways: [...WAYS, onetimecopy], rounds: 1 }];

/** The stream copy beside other ways to copy a whole database. */
export const copy: Benchmark = {
  name: 'copy',
  title: 'Copy of a whole database',
  about:
    'Each way brings the same database into an empty one, until that has the same rows, the same catalogs (compared as verify compares them) and fresh statistics. pgbench and a table of wide rows with jsonb and five indexes. All have two jobs of each kind, but `pg_dump | psql` and the onetimecopy of stock Bucardo, which know one. The dump is not compressed.',
  minutes: { full: 6.3, quick: 0.5 },
  run: async (bench) => {
    const measured: { readonly gigabytes: number; readonly turns: Turns }[] = [];
    const failures: string[] = [];
    for (const size of bench.quick ? QUICK_SIZES : SIZES) {
      try {
        const { database, bytes } = await bench.data.get(size.data);
        bench.log(`${(bytes / 1e9).toFixed(1)} GB`);
        const began = performance.now();
        const enough = (round: number): boolean =>
          measured.length > 0 && isLate((performance.now() - began) / 60_000, round, MINUTES_BESIDE);
        measured.push({
          gigabytes: bytes / 1e9,
          turns: await measureCopies(bench, database, size.ways, bench.rounds(size.rounds), enough),
        });
        if (size.data === LARGE) await bench.data.drop({ database, bytes });
      } catch (error) {
        failures.push(`${JSON.stringify(size.data)} could not be measured: ${oneLine(error)}`);
      }
    }
    const compared = measured[0]?.turns.series ?? [];
    const ours = stream().name;
    return {
      figures: {
        copyVsPgcopydb: ratio(compared, ours, pgcopydb.name),
        copyVsDumpRestore: ratio(compared, ours, dumpRestore.name),
      },
      charts: [
        ...measured.map(({ gigabytes, turns }) => ({
          title: `Copy of ${gigabytes.toFixed(1)} GB with indexes`,
          unit: 's',
          series: turns.series,
        })),
        ...growthOf(measured),
      ],
      notes: [
        'Figures are of the first size. The others show growth: the largest has one round, the smallest as many as there is time for.',
        'Capture, which the other ways do not have, is there before the stream copy begins and is not counted.',
        'The programs go as they come, with two jobs: pgcopydb also vacuums what it has copied, and splits no table; index builds have the same memory everywhere but in pgcopydb, which takes 1 GB. Ibex runs without its brake, whose looks at the source are a few a minute.',
        ...onlyRounds(onetimecopy),
        ...absentees([...WAYS, onetimecopy]),
      ],
      failures: [...failures, ...measured.flatMap(({ turns }) => turns.failures)],
    };
  },
};

/** Of the ways that were measured at more than one size. */
function growthOf(measured: readonly { readonly gigabytes: number; readonly turns: Turns }[]): Growth[] {
  const sizes = [...measured].sort((a, b) => a.gigabytes - b.gigabytes);
  const names = [...new Set(sizes.flatMap(({ turns }) => turns.series.map(({ way }) => way)))];
  const points = (name: string): Growth['lines'][number]['points'] =>
    sizes.flatMap(({ gigabytes, turns }) =>
      turns.series.flatMap(({ way, values }) => (way === name ? [{ x: gigabytes, values }] : [])),
    );
  const lines = names.map((way) => ({ way, points: points(way) })).filter((line) => line.points.length > 1);
  if (lines.length === 0) return [];
  return [{ title: 'Copy: growth with the size of the database', unit: 's', size: 'GB with indexes', lines }];
}

/** How long the source must keep old rows for the stream copy. */
export const snapshots: Benchmark = {
  name: 'snapshots',
  title: 'Oldest snapshot on the source while it is copied',
  about:
    'The age of the oldest snapshot of any session of ours, looked at ten times a second, in chunks of 64 MB. A dump holds one snapshot from its first to its last row.',
  minutes: { full: 0.5, quick: 0.2 },
  run: async (bench) => {
    const { database } = await bench.data.get(bench.quick ? TINY : SMALL);
    const rounds = bench.rounds(3);
    const [ages, chunks, times]: [number[], number[], number[]] = [[], [], []];
    for (let round = 1; round <= rounds; round += 1) {
      await emptyTarget(bench.servers, database);
      const watch = await watchSnapshots(bench.servers);
      times.push(await stream({ chunkMegabytes: 64 }).run(bench.servers, database));
      const { oldest, longestChunk } = await watch.stop();
      ages.push(oldest);
      chunks.push(longestChunk);
      bench.log(`round ${round}: ${oldest.toFixed(2)} s, longest chunk ${longestChunk.toFixed(2)} s`);
    }
    return {
      figures: { oldestSnapshotSeconds: medianFigure(ages) },
      charts: [
        {
          title: 'Oldest snapshot, longest chunk, whole copy',
          unit: 's',
          series: [
            { way: 'Ibex: oldest snapshot', values: ages },
            { way: 'longest chunk', values: chunks },
            { way: 'whole copy', values: times },
          ],
        },
      ],
      notes: ['A chunk is as long as its transaction on the target, which ends with the commit of its rows.'],
      failures: median(ages) <= median(chunks) ? [] : ['a snapshot was held for longer than the longest chunk took'],
    };
  },
};

/**
 * Runs each way into an empty database, and proves that all have brought the same rows and catalogs.
 *
 * @param enough whether to leave it at the rounds that there are. @default never
 */
export async function measureCopies(
  { servers, log }: Bench,
  database: string,
  ways: readonly CopyWay[],
  rounds: number,
  enough?: (round: number) => boolean,
): Promise<Turns> {
  const expected = await tableCounts(servers, 'source', database);
  return inTurn(
    ways,
    rounds,
    async (way) => {
      await emptyTarget(servers, database);
      const took = await way.run(servers, database);
      await expectEqualDatabases(servers, database, expected);
      return took;
    },
    (way, round, took) => log(`round ${round}: ${way.name} ${took.toFixed(1)} s`),
    enough,
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
