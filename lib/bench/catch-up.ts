import { ibex, native, stock, tuned, type Applier } from './appliers';
import {
  changeRows,
  cloneDatabase,
  expectEqualAccounts,
  makeAccounts,
  makeNarrowAccounts,
  queueKeys,
  renameDatabase,
  settle,
  type Backlog,
} from './backlog';
import { inTurn, onlyRounds, type Bench, type Benchmark } from './benchmark';
import { dropDatabase } from './data';
import { medianFigure, ratio, valuesOf } from './statistics';

/** Of so many rows whose keys are queued, one is really written, where all would take too long to be made. */
const WRITTEN = 100;

/** Memory counts as flat when ten times the backlog needs no more than so many times as much. */
const FLAT = 1.3;

/** Database that all ways are made from: rows are changed in it once, for all that find their keys in a queue. */
const ACCOUNTS = 'accounts';

/** Both ends with the backlog of a way, from which each round is made: that takes a fifth of the time of making it. */
const backlogOf = ({ database }: Applier): string => `${database}_backlog`;

/** A way with one round works on its backlog itself, which is made right before it. */
const hasCopies = ({ mostRounds }: Applier): boolean => mostRounds !== 1;

/** The application of a backlog of changed keys. */
export const catchUp: Benchmark = {
  name: 'catch-up',
  title: 'Application of a backlog',
  about:
    'One million rows all over a table of two million, about 100 bytes each, were changed in twenty transactions. Each way brings the target to the present rows; programs run already when the time begins, and the rows of both ends are compared afterwards. Each round begins with a copy of the same files. Bucardo and Ibex find the keys in the queue; native logical replication reads the log of the source, which needs rights that those who need Ibex do not have: it is the limit. Memory is that of all processes together: for Bucardo its master, controllers and children.',
  minutes: { full: 8.5, quick: 0.6 },
  run: async (bench) => {
    const changed = bench.quick ? 50_000 : 1_000_000;
    const backlog = { rows: 2 * changed, changed };
    const ways = [stock, tuned, native, ibex];
    await makeAccounts(bench.servers, ACCOUNTS, backlog.rows);
    for (const way of ways.filter(readsLog)) await cloneDatabase(bench.servers, ACCOUNTS, way.database);
    await changeRows(bench.servers, ACCOUNTS, backlog);
    for (const way of ways.filter(({ queued }) => queued)) await cloneDatabase(bench.servers, ACCOUNTS, way.database);
    return measure(bench, ways, backlog);
  },
};

/** Ten times the backlog, which Bucardo would hold in memory. */
export const longBacklog: Benchmark = {
  name: 'long-backlog',
  title: 'A long backlog',
  about:
    'The same with ten million keys of rows without a filler, by Ibex alone: memory must not grow with the backlog, and is measured once with a tenth of it as well. The keys of all rows stand in the queue, and one row in a hundred was really written, which is the same work for whoever applies them.',
  minutes: { full: 5, quick: 0.4 },
  run: async (bench) => {
    const changed = bench.quick ? 200_000 : 10_000_000;
    const short = await measureNarrow({ ...bench, rounds: () => 1 }, backlogOfAll(changed / 10));
    for (const database of [ibex.database, backlogOf(ibex)]) await dropDatabase(bench.servers, database);
    const long = await measureNarrow(bench, backlogOfAll(changed));
    const [least, most] = [short, long].map(({ figures }) => figures.catchUpMemoryMb10M?.value ?? Number.NaN) as [
      number,
      number,
    ];
    return {
      ...long,
      charts: [...long.charts, ...short.charts],
      failures: [
        ...short.failures,
        ...long.failures,
        ...(most <= FLAT * least
          ? []
          : [`memory grew with the backlog: ${least} MB, and ${most} MB with ten times of it`]),
      ],
    };
  },
};

/** Every row of a table is changed, few of them are written. */
const backlogOfAll = (changed: number): Backlog => ({ rows: changed, changed, written: changed / WRITTEN });

/** By Ibex alone, in a table without a filler. */
async function measureNarrow(bench: Bench, backlog: Backlog): ReturnType<Benchmark['run']> {
  await makeNarrowAccounts(bench.servers, ibex.database, backlog.rows);
  await changeRows(bench.servers, ibex.database, backlog);
  return measure(bench, [ibex], backlog);
}

/** Changes that are read from the log must be made after the way stands ready. */
const readsLog = ({ queued }: Applier): boolean => !queued;

async function prepare({ servers }: Bench, way: Applier, backlog: Backlog): Promise<void> {
  await way.prepare(servers);
  await (readsLog(way) ? changeRows : queueKeys)(servers, way.database, backlog);
  await settle(servers);
  if (hasCopies(way)) await renameDatabase(servers, way.database, backlogOf(way));
}

async function begin(bench: Bench, way: Applier, backlog: Backlog): Promise<void> {
  if (!hasCopies(way)) return prepare(bench, way, backlog);
  await dropDatabase(bench.servers, way.database);
  await cloneDatabase(bench.servers, backlogOf(way), way.database);
}

async function measure(bench: Bench, ways: readonly Applier[], backlog: Backlog): ReturnType<Benchmark['run']> {
  const memory = new Map<Applier, number[]>();
  const onlyOurs = ways.length === 1;
  for (const way of ways.filter(hasCopies)) await prepare(bench, way, backlog);
  const { series, failures } = await inTurn(
    ways,
    bench.rounds(3),
    async (way) => {
      await begin(bench, way, backlog);
      const { seconds, megabytes } = await way.apply(bench.servers);
      await expectEqualAccounts(bench.servers, way.database, way.name);
      if (megabytes !== undefined) memory.set(way, [...(memory.get(way) ?? []), megabytes]);
      return seconds;
    },
    (way, round, seconds) =>
      bench.log(
        `round ${round}: ${way.name} ${seconds.toFixed(1)} s, ${memory.get(way)?.at(-1)?.toFixed(0) ?? '?'} MB`,
      ),
  );
  const megabytes = [...memory].map(([way, values]) => ({ way: way.name, values }));
  const keys = `${backlog.changed.toLocaleString('en')} changed keys`;
  const ours = medianFigure(valuesOf(megabytes, ibex.name));
  return {
    figures: onlyOurs
      ? { catchUpMemoryMb10M: ours }
      : {
          catchUpSpeedup: ratio(series, stock.name, ibex.name),
          catchUpVsTuned: ratio(series, tuned.name, ibex.name),
          catchUpMemoryMb1M: ours,
        },
    charts: [
      { title: `${keys}: time`, unit: 's', series },
      { title: `${keys}: peak memory`, unit: 'MB', series: megabytes },
    ],
    notes: ways.flatMap(onlyRounds),
    failures,
  };
}
