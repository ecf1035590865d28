import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { readLag } from '../../assets/agent/bucardo/queues';
import { readRelations, type Relation } from '../../assets/agent/catalog/relations';
import { Failure } from '../../assets/agent/errors';
import { until } from '../rehearsal/lab/processes';
import { ON_ONE_MACHINE } from '../rehearsal/one-machine';
import type { Benchmark, Outcome } from './benchmark';
import { makeWritten } from './capture';
import { forgetState } from './copy-ways';
import { HostProgram } from './host-program';
import { runLoad } from './pgbench-load';
import { median, medianFigure, percentile } from './statistics';

const DATABASE = 'followed';

/** The application's transactions a second; each writes two rows. */
const RATE = 300;

/** Below this share of the rate the load was another one than we say. */
const REACHED = 0.95;

const CLIENTS = 16;

/** Time between two looks at the queues; milliseconds. */
const LOOK_MS = 150;

/** Looks a second that a percentile needs at least. */
const LOOKS_PER_SECOND = 5;

/** Seconds of load before the first window, and after the last. */
const MARGIN = { before: 10, after: 3 };

/** How long the last changes may take to arrive; milliseconds. */
const DRAIN_MS = 60_000;

/** What one window came to. */
interface Window {
  /** Age of the oldest unapplied change at each look; seconds. */
  readonly ages: readonly number[];
  readonly seconds: number;
  readonly transactionsPerSecond: number;
}

/** How far the target is behind while the sync goes on. */
export const lag: Benchmark = {
  name: 'lag',
  title: 'Lag of the sync',
  about: `A migration by the host program up to the sync, which its own supervisor then keeps going with Bucardo, by the settings of \`sync\` for one machine (a hand-over below ${ON_ONE_MACHINE.sync.handoverKeys.toLocaleString('en')} keys, else the defaults). Every row was verified before, so that the sync compares each changed key again as well. pgbench -N, ${CLIENTS} clients, ${RATE} transactions a second, two rows each. The lag is the age of the oldest change that is not applied, on the source's clock, looked at every ${LOOK_MS} ms.`,
  minutes: { full: 1.9, quick: 0.9 },
  run: async ({ servers, quick, rounds, log }) => {
    const plan = { windows: rounds(3), seconds: quick ? 10 : 25 };
    await makeWritten(servers, DATABASE, quick ? 2 : 20, ['source']);
    const admin = await servers.connect('target');
    await admin.query(`CREATE DATABASE ${DATABASE}`);
    await admin.end();
    const program = HostProgram.install(servers, DATABASE, ON_ONE_MACHINE.sync);
    const { config } = program;
    await forgetState(servers, servers.config(DATABASE));
    const source = await servers.connect('source', DATABASE);
    try {
      for (const phase of ['assess', 'schema', 'capture', 'copy', 'sync', 'verify']) log(await program.run(phase));
      const relations = await readRelations(source, config);
      const duration = MARGIN.before + plan.windows * plan.seconds + MARGIN.after;
      const load = runLoad(servers, DATABASE, { clients: CLIENTS, seconds: duration, rate: RATE });
      load.catch(() => undefined);
      await sleep(MARGIN.before * 1000);
      const windows: Window[] = [];
      for (let round = 1; round <= plan.windows; round += 1) {
        const window = await watch(source, relations, plan.seconds);
        log(
          `round ${round}: p99 ${percentile(window.ages, 0.99).toFixed(2)} s, ${window.transactionsPerSecond.toFixed(0)}/s`,
        );
        windows.push(window);
      }
      await load;
      await expectEverythingThere(source, relations, () => servers.connect('target', DATABASE));
      return outcome(windows);
    } finally {
      await program.stop();
      await source.end();
    }
  },
};

async function watch(source: Client, relations: readonly Relation[], seconds: number): Promise<Window> {
  const ages: number[] = [];
  const [before, began] = [await transactions(source), performance.now()];
  for (let next = began; performance.now() - began < seconds * 1000;) {
    ages.push((await readLag(source, relations)).seconds);
    next += LOOK_MS;
    await sleep(Math.max(0, next - performance.now()));
  }
  const took = (performance.now() - began) / 1000;
  return { ages, seconds: took, transactionsPerSecond: ((await transactions(source)) - before) / took };
}

/** Each transaction of the load leaves one row of history. */
async function transactions(source: Client): Promise<number> {
  const { rows } = await source.query('SELECT count(*)::float8 AS n FROM pgbench_history');
  return (rows[0] as { n: number }).n;
}

const SUMS = `
  SELECT (SELECT count(*) FROM pgbench_history)::text AS history, (SELECT sum(delta) FROM pgbench_history)::text AS deltas,
    (SELECT sum(abalance) FROM pgbench_accounts)::text AS balances`;

/** A sync that lost rows would have a fine lag. */
async function expectEverythingThere(
  source: Client,
  relations: readonly Relation[],
  connect: () => Promise<Client>,
): Promise<void> {
  const drained = await until(async () => (await readLag(source, relations)).changes === 0, DRAIN_MS, 200);
  if (!drained) throw new Failure(`changes are left ${DRAIN_MS / 1000} s after the load ended`);
  const target = await connect();
  try {
    const [here, there] = [await source.query(SUMS), await target.query(SUMS)].map(({ rows }) => JSON.stringify(rows));
    if (here !== there) throw new Failure(`the target has ${there} instead of ${here}`);
  } finally {
    await target.end();
  }
}

function outcome(windows: readonly Window[]): Outcome {
  const rates = windows.map(({ transactionsPerSecond }) => transactionsPerSecond);
  const looks = Math.min(...windows.map(({ ages, seconds }) => ages.length / seconds));
  const all = windows.flatMap(({ ages }) => ages);
  const at = (share: number): number[] => windows.map(({ ages }) => percentile(ages, share));
  const failures = [
    ...(median(rates) < REACHED * RATE ? [`only ${median(rates).toFixed(0)} transactions a second were reached`] : []),
    ...(looks < LOOKS_PER_SECOND ? [`the queues were looked at only ${looks.toFixed(1)} times a second`] : []),
  ];
  return {
    figures: {
      // Over all windows, since a percentile needs many looks.
      lagP99Seconds: { value: percentile(all, 0.99), rounds: at(0.99) },
      lagTransactionsPerSecond: medianFigure(rates),
    },
    charts: [
      {
        title: `Age of the oldest unapplied change at ${RATE} transactions a second`,
        unit: 's',
        series: [
          { way: 'Ibex: median', values: at(0.5) },
          { way: 'Ibex: 90th percentile', values: at(0.9) },
          { way: 'Ibex: 99th percentile', values: at(0.99) },
          { way: 'Ibex: longest', values: at(1) },
        ],
      },
    ],
    notes: [
      `The figure is of all ${all.length} looks, at least ${looks.toFixed(1)} a second; a round is a window of ${windows[0]?.seconds.toFixed(0)} s. At the end nothing was left to apply, and both ends had the same sums.`,
    ],
    failures,
  };
}
