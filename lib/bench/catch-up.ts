import { ibex, native, stock, tuned, type Applied, type Applier } from './appliers';
import { cloneDatabase, expectEqualAccounts, makeAccounts, makeBacklog, settleAccounts, type Backlog } from './backlog';
import { inTurn, type Bench, type Benchmark } from './benchmark';
import type { BenchServers } from './servers';
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
    return measure(bench, ways, { rows: 2 * changed, changed, rounds: bench.rounds(3) });
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
    await ibex.prepare(bench.servers);
    return measure(bench, [ibex], { rows: changed, changed, rounds: bench.rounds(3) });
  },
};

interface Size {
  readonly rows: number;
  readonly changed: number;
  readonly rounds: number;
}

async function measure(
  bench: Bench,
  ways: readonly Applier[],
  { rows, changed, rounds }: Size,
): ReturnType<Benchmark['run']> {
  const memory = new Map<Applier, number[]>();
  const onlyOurs = ways.length === 1;
  const { series, failures } = await inTurn(
    ways,
    rounds,
    async (way) => {
      const written = onlyOurs ? changed / WRITTEN : changed;
      const backlog = { rows, changed, queued: way.queued, written };
      const { seconds, megabytes } = await applied(bench.servers, way, backlog);
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
    notes: [],
    failures,
  };
}

async function applied(servers: BenchServers, way: Applier, backlog: Backlog): Promise<Applied> {
  // Bucardo itself forgets what it has applied only after a minute.
  await settleAccounts(servers, way.database, way.queued);
  await way.begin?.(servers);
  await makeBacklog(servers, way.database, backlog);
  const result = await way.apply(servers);
  await expectEqualAccounts(servers, way.database, way.name);
  return result;
}
