import { capture } from '../../assets/agent/capture';
import { absentees, inTurn, type Benchmark, type Way } from './benchmark';
import { Bucardo, expectStockTriggers, removeBucardo, STOCK } from './bucardo';
import { measureCopies } from './copy';
import { dumpPipe, dumpRestore, forgetCapture, forgetState, pgcopydb, runPhase, stream } from './copy-ways';
import { makeManyTables } from './data';
import { seconds } from './program';
import type { BenchServers } from './servers';

const DATABASE = 'many_tables';

const TABLES = { full: 2_000, quick: 100 };

/** Something that installs triggers on every table. */
interface Installer extends Way {
  /** Installs and removes them. Returns the seconds of the installation. */
  install(servers: BenchServers, tables: readonly string[]): Promise<number>;
}

const ibex: Installer = {
  name: 'Ibex capture',
  install: async (servers) => {
    const config = servers.config(DATABASE);
    await forgetState(servers, config);
    const took = await seconds(() => runPhase(config, 'capture', (context) => capture.run(context)));
    await forgetCapture(config);
    return took;
  },
};

const stock: Installer = {
  name: 'stock Bucardo',
  install: async (servers, tables) => {
    const { installSeconds } = await Bucardo.setUp(servers, DATABASE, tables, STOCK);
    await expectStockTriggers(servers, DATABASE, tables);
    await removeBucardo(servers, DATABASE);
    return installSeconds;
  },
};

/** Time for the rounds of all ways to copy; a machine on which they take longer has fewer of them. Minutes. */
const COPY_MINUTES = 2;

/** What many tables cost, whatever is in them. */
export const manyTables: Benchmark = {
  name: 'many-tables',
  title: 'A schema of many tables',
  about:
    'Two thousand tables of a few rows, each with two indexes and a foreign key to the one before it: the copy of all, and the installation of the triggers on all. Stock Bucardo installs its own when its sync is added, all in one transaction.',
  minutes: { full: 3.5, quick: 0.7 },
  run: async (bench) => {
    const count = bench.quick ? TABLES.quick : TABLES.full;
    await makeManyTables(bench.servers, DATABASE, count);
    const ways = [pgcopydb, dumpRestore, dumpPipe, stream()];
    const began = performance.now();
    const copied = await measureCopies(bench, DATABASE, ways, bench.rounds(3), (round) =>
      isLate((performance.now() - began) / 60_000, round, COPY_MINUTES),
    );
    const tables = Array.from({ length: count }, (_, index) => `table_${index + 1}`);
    const installed = await inTurn(
      [ibex, stock],
      1,
      (way) => way.install(bench.servers, tables),
      (way, round, took) => bench.log(`round ${round}: triggers of ${way.name} ${took.toFixed(1)} s`),
    );
    const name = `${count.toLocaleString('en')} tables`;
    const rounds = Math.max(0, ...copied.series.map(({ values }) => values.length));
    return {
      figures: {},
      charts: [
        { title: `Copy of ${name}`, unit: 's', series: copied.series },
        { title: `Triggers on ${name}`, unit: 's', series: installed.series },
      ],
      notes: [
        `The copies have ${rounds === 1 ? 'one round' : `${rounds} rounds`}, the triggers have one: these have no part in the figures.`,
        'Capture is there before the stream copy begins and is not counted, as in the other copies.',
        ...absentees(ways),
      ],
      failures: [...copied.failures, ...installed.failures],
    };
  },
};

/** Whether a further round, as long as those before it, would go beyond the time. */
export const isLate = (minutes: number, rounds: number, most: number): boolean =>
  (minutes / rounds) * (rounds + 1) > most;
