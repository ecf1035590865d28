import { absentees, inTurn, isLate, type Benchmark } from './benchmark';
import { Bucardo, expectStockTriggers, removeBucardo, STOCK } from './bucardo';
import { measureCopies } from './copy';
import { dumpRestore, pgcopydb, stream } from './copy-ways';
import { makeManyTables } from './data';
import type { BenchServers } from './servers';

const DATABASE = 'many_tables';

const TABLES = { full: 2_000, quick: 100 };

/** Stock Bucardo's triggers, installed on every table and removed. Returns the seconds of the installation. */
async function installStock(servers: BenchServers, tables: readonly string[]): Promise<number> {
  const { installSeconds } = await Bucardo.setUp(servers, DATABASE, tables, STOCK);
  await expectStockTriggers(servers, DATABASE, tables);
  await removeBucardo(servers, DATABASE);
  return installSeconds;
}

/** Time for the rounds of all ways to copy; a machine on which they take longer has fewer of them. Minutes. */
const COPY_MINUTES = 2;

/** Where the copies have taken longer, stock Bucardo's triggers are left out, which take as long again. Minutes. */
const MOST_MINUTES = 2.5;

/** What many tables cost, whatever is in them. */
export const manyTables: Benchmark = {
  name: 'many-tables',
  title: 'A schema of many tables',
  about:
    'Two thousand tables of a few rows, each with two indexes and a foreign key to the one before it: the copy of all, and the installation of the triggers on all. Stock Bucardo installs its own when its sync is added, all in one transaction; Ibex does so table by table.',
  minutes: { full: 3.2, quick: 0.7 },
  run: async (bench) => {
    const count = bench.quick ? TABLES.quick : TABLES.full;
    await makeManyTables(bench.servers, DATABASE, count);
    const captures: number[] = [];
    const ways = [pgcopydb, dumpRestore, stream({}, (took) => captures.push(took))];
    const began = performance.now();
    const copied = await measureCopies(bench, DATABASE, ways, bench.rounds(3), (round) =>
      isLate((performance.now() - began) / 60_000, round, COPY_MINUTES),
    );
    const isSlow = (performance.now() - began) / 60_000 > MOST_MINUTES;
    const stock = { name: 'stock Bucardo', ...(isSlow && { absent: 'the copies took too long for it to follow' }) };
    const tables = Array.from({ length: count }, (_, index) => `table_${index + 1}`);
    const installed = await inTurn(
      [stock],
      1,
      () => installStock(bench.servers, tables),
      (way, round, took) => bench.log(`round ${round}: triggers of ${way.name} ${took.toFixed(1)} s`),
    );
    const name = `${count.toLocaleString('en')} tables`;
    const rounds = Math.max(0, ...copied.series.map(({ values }) => values.length));
    return {
      figures: {},
      charts: [
        { title: `Copy of ${name}`, unit: 's', series: copied.series },
        {
          title: `Triggers on ${name}`,
          unit: 's',
          series: [{ way: 'Ibex capture', values: captures }, ...installed.series],
        },
      ],
      notes: [
        `The copies have ${rounds === 1 ? 'one round' : `${rounds} rounds`}, the triggers of stock Bucardo have one: these have no part in the figures.`,
        'Capture is there before the stream copy begins and is not counted, as in the other copies; its time is told below.',
        ...absentees([...ways, stock]),
      ],
      failures: [...copied.failures, ...installed.failures],
    };
  },
};
