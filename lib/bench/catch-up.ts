import { ibex, native, stock, tuned, type Applier } from './appliers';
import {
  cloneDatabase,
  expectEqualAccounts,
  makeAccounts,
  makeBacklog,
  renameDatabase,
  settleAccounts,
} from './backlog';
import { inTurn, onlyRounds, type Bench, type Benchmark } from './benchmark';
import { dropDatabase } from './data';
import { medianFigure, ratio, valuesOf } from './statistics';

/** Of so many rows whose keys are queued, one is really written, where all would take too long to be made. */
const WRITTEN = 100;

/** The application of a backlog of changed keys. */
export const catchUp: Benchmark = {
  name: 'catch-up',
  title: 'Application of a backlog',
  about:
    'One million rows all over a table of two million, about 100 bytes each, were changed in twenty transactions. Each way brings the target to the present rows; programs run already when the time begins, and the rows of both ends are compared afterwards. Bucardo and Ibex find the keys in the queue; native logical replication reads the log of the source, which needs rights that those who need Ibex do not have: it is the limit. Memory is that of all processes together: for Bucardo its master, controllers and children.',
  minutes: { full: 11.5, quick: 0.6 },
  run: async (bench) => {
    const changed = bench.quick ? 50_000 : 1_000_000;
    const ways = [stock, tuned, native, ibex];
    await makeAccounts(bench.servers, 'accounts', 2 * changed);
    for (const way of ways) {
      await cloneDatabase(bench.servers, 'accounts', way.database);
      await way.prepare(bench.servers);
    }
    return measure(bench, ways, changed, async (way) => {
      // Bucardo itself forgets what it has applied only after a minute.
      await settleAccounts(bench.servers, way.database, way.queued);
      await way.begin?.(bench.servers);
      const backlog = { rows: 2 * changed, changed, queued: way.queued };
      await makeBacklog(bench.servers, way.database, backlog);
    });
  },
};

/** Both ends with the long backlog, from which each round is made: that takes a fifth of the time of making it. */
const LONG_BACKLOG = 'long_backlog';

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
    await ibex.prepare(bench.servers);
    const backlog = { rows: changed, changed, queued: true, written: changed / WRITTEN };
    await makeBacklog(bench.servers, ibex.database, backlog);
    await renameDatabase(bench.servers, ibex.database, LONG_BACKLOG);
    return measure(bench, [ibex], changed, async ({ database }) => {
      await dropDatabase(bench.servers, database);
      await cloneDatabase(bench.servers, LONG_BACKLOG, database);
    });
  },
};

async function measure(
  bench: Bench,
  ways: readonly Applier[],
  changed: number,
  prepare: (way: Applier) => Promise<void>,
): ReturnType<Benchmark['run']> {
  const memory = new Map<Applier, number[]>();
  const onlyOurs = ways.length === 1;
  const { series, failures } = await inTurn(
    ways,
    bench.rounds(3),
    async (way) => {
      await prepare(way);
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
  const keys = `${changed.toLocaleString('en')} changed keys`;
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
