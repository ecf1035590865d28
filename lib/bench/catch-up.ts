import { ibex, native, stock, tuned, type Applier } from './appliers';
import { cloneDatabase, expectEqualAccounts, makeAccounts, makeBacklog, renameDatabase, type Backlog } from './backlog';
import { inTurn, onlyRounds, type Bench, type Benchmark } from './benchmark';
import { dropDatabase } from './data';
import { medianFigure, ratio, valuesOf } from './statistics';

/** Of so many rows whose keys are queued, one is really written, where all would take too long to be made. */
const WRITTEN = 100;

/** Database that all ways are made from, with nothing to apply yet. */
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
  minutes: { full: 9.5, quick: 0.6 },
  run: async (bench) => {
    const changed = bench.quick ? 50_000 : 1_000_000;
    const ways = [stock, tuned, native, ibex];
    await makeAccounts(bench.servers, ACCOUNTS, 2 * changed);
    for (const way of ways) await cloneDatabase(bench.servers, ACCOUNTS, way.database);
    return measure(bench, ways, { rows: 2 * changed, changed });
  },
};

/** Ten times the backlog, which Bucardo would hold in memory. */
export const longBacklog: Benchmark = {
  name: 'long-backlog',
  title: 'A long backlog',
  about:
    'The same with ten million keys, by Ibex alone: memory must not grow with the backlog. The keys of all rows stand in the queue, and one row in a hundred was really written, which is the same work for whoever applies them.',
  minutes: { full: 8.2, quick: 0.4 },
  run: async (bench) => {
    const changed = bench.quick ? 200_000 : 10_000_000;
    await makeAccounts(bench.servers, ibex.database, changed);
    return measure(bench, [ibex], { rows: changed, changed, written: changed / WRITTEN });
  },
};

type Work = Omit<Backlog, 'queued'>;

async function prepare({ servers }: Bench, way: Applier, work: Work): Promise<void> {
  await way.prepare(servers);
  await makeBacklog(servers, way.database, { ...work, queued: way.queued });
  if (hasCopies(way)) await renameDatabase(servers, way.database, backlogOf(way));
}

async function begin(bench: Bench, way: Applier, work: Work): Promise<void> {
  if (!hasCopies(way)) return prepare(bench, way, work);
  await dropDatabase(bench.servers, way.database);
  await cloneDatabase(bench.servers, backlogOf(way), way.database);
}

async function measure(bench: Bench, ways: readonly Applier[], work: Work): ReturnType<Benchmark['run']> {
  const memory = new Map<Applier, number[]>();
  const onlyOurs = ways.length === 1;
  for (const way of ways.filter(hasCopies)) await prepare(bench, way, work);
  const { series, failures } = await inTurn(
    ways,
    bench.rounds(3),
    async (way) => {
      await begin(bench, way, work);
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
  const keys = `${work.changed.toLocaleString('en')} changed keys`;
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
