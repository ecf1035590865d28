import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { capture as capturePhase } from '../../assets/agent/capture';
import { dropCapture } from '../../assets/agent/cleanup/source';
import { DEBIAN_POSTGRES } from '../rehearsal/lab/packages';
import { absentees, inTurn, type Benchmark, type Way } from './benchmark';
import { Bucardo, expectStockTriggers, STOCK } from './bucardo';
import { forgetState, runPhase } from './copy-ways';
import { runLoad } from './pgbench-load';
import { runProgram } from './program';
import type { BenchServers } from './servers';
import { figureOf, medianFigure, valuesOf } from './statistics';

const CLIENTS = 16;

/** Tables of pgbench that its load writes. */
const TABLES = ['pgbench_accounts', 'pgbench_history'];

/** A database that is written, and what notes its changes. */
interface Noted extends Way {
  readonly database: string;
  prepare(servers: BenchServers): Promise<void>;
}

const bare: Noted = { name: 'no triggers', database: 'noted_by_nobody', prepare: async () => undefined };

const ours: Noted = {
  name: 'Ibex capture',
  database: 'noted_by_ibex',
  prepare: async (servers) => {
    await forgetState(servers, servers.config(ours.database));
    await install(servers, ours.database);
  },
};

const stock: Noted = {
  name: 'stock Bucardo',
  database: 'noted_by_stock',
  prepare: async (servers) => {
    await Bucardo.setUp(servers, stock.database, TABLES, STOCK);
    await expectStockTriggers(servers, stock.database, TABLES);
  },
};

const install = (servers: BenchServers, database: string): Promise<unknown> =>
  runPhase(servers.config(database), 'capture', (context) => capturePhase.run(context));

/** pgbench's tables, all with a key. The target has them without rows, since Bucardo wants to see them there. */
export async function makeWritten(
  servers: BenchServers,
  database: string,
  scale: number,
  ends: readonly ('source' | 'target')[] = ['source', 'target'],
): Promise<void> {
  const pgbench = join(DEBIAN_POSTGRES, 'pgbench');
  for (const end of ends) {
    const admin = await servers.connect(end);
    await admin.query(`CREATE DATABASE ${database}`);
    await admin.end();
    const steps = end === 'source' ? 'dtgvp' : 'dtp';
    const args = ['--initialize', '--quiet', `--init-steps=${steps}`, `--scale=${scale}`];
    await runProgram(pgbench, [...args, servers.address(end, database)], servers.environment);
    const client = await servers.connect(end, database);
    await client.query('ALTER TABLE pgbench_history ADD id bigserial PRIMARY KEY');
    await client.end();
  }
}

/** Empties what the last round left, so that every round begins alike. */
async function settle(servers: BenchServers, { database }: Noted): Promise<void> {
  const client = await servers.connect('source', database);
  const { rows } = await client.query(
    `SELECT string_agg(oid::regclass::text, ', ') AS queues FROM pg_class
     WHERE relkind = 'r' AND (relname LIKE 'delta\\_public%' OR relname = 'pgbench_history')`,
  );
  // No trigger is to note this.
  await client.query(`SET session_replication_role = 'replica'`);
  await client.query(`TRUNCATE ${(rows[0] as { queues: string }).queues}`);
  await client.query('VACUUM pgbench_accounts');
  await client.query('CHECKPOINT');
  await client.end();
}

/** What noting every change costs the application. */
export const capture: Benchmark = {
  name: 'capture',
  title: 'Cost of capture for the application',
  about: `pgbench -N with ${CLIENTS} clients as fast as they can: bare, with the triggers of our capture, and with those that stock Bucardo itself has installed, autokick included. No one reads the queues meanwhile.`,
  minutes: { full: 2.1, quick: 0.5 },
  run: async ({ servers, quick, rounds, log }) => {
    const ways = [bare, ours, stock];
    for (const way of ways) {
      await makeWritten(servers, way.database, quick ? 2 : 20);
      await way.prepare(servers);
    }
    const { series, failures } = await inTurn(
      ways,
      rounds(5),
      async (way) => {
        await settle(servers, way);
        const load = await runLoad(servers, way.database, { clients: CLIENTS, seconds: quick ? 2 : 6 });
        return load.transactionsPerSecond;
      },
      (way, round, tps) => log(`round ${round}: ${way.name} ${tps.toFixed(0)} transactions/s`),
    );
    const rates = [bare, ours, stock].map(({ name }) => valuesOf(series, name));
    const lost = (rate = Number.NaN, of = Number.NaN): number => 100 * (1 - rate / of);
    return {
      figures: {
        captureVsStock: figureOf(rates, (none, some, more) => lost(some, none) / lost(more, none)),
        captureLossPercent: figureOf(rates, (none, some) => lost(some, none)),
        stockLossPercent: figureOf(rates, (none, _, more) => lost(more, none)),
      },
      charts: [{ title: 'Transactions a second; more is better', unit: '/s', series }],
      notes: absentees(ways),
      failures,
    };
  },
};

/** How long the application waits while its tables get their triggers. */
export const installDelay: Benchmark = {
  name: 'install-delay',
  title: 'Delay while triggers are installed',
  about: `The longest transaction of ${CLIENTS} clients of pgbench -N while capture is installed, and, beside it, the longest of the same load before that.`,
  minutes: { full: 0.7, quick: 0.4 },
  run: async ({ servers, quick, rounds, log }) => {
    const database = 'triggers_installed';
    await makeWritten(servers, database, quick ? 2 : 20);
    const config = servers.config(database);
    const [before, during]: [number[], number[]] = [[], []];
    for (let round = 1; round <= rounds(3); round += 1) {
      await forgetState(servers, config);
      const client = await servers.connect('source', database);
      await client.query('CHECKPOINT');
      await client.end();
      const load = runLoad(servers, database, { clients: CLIENTS, seconds: 12, logged: true });
      await sleep(5_000);
      const began = Date.now() / 1000;
      await install(servers, database);
      const ended = Date.now() / 1000;
      const { transactions } = await load;
      const longest = (from: number, to: number): number =>
        transactions.reduce(
          (most, { endedAt, milliseconds }) =>
            endedAt >= from && endedAt - milliseconds / 1000 <= to ? Math.max(most, milliseconds) : most,
          0,
        );
      // The first second has the clients connect.
      before.push(longest(began - 4, began));
      during.push(longest(began, ended));
      log(`round ${round}: ${during.at(-1)?.toFixed(0)} ms, before ${before.at(-1)?.toFixed(0)} ms`);
      await runPhase(config, 'cleanup', async (context) => dropCapture(context, await context.connect('source')));
    }
    return {
      figures: { installDelayMs: medianFigure(during) },
      charts: [
        {
          title: 'Longest transaction',
          unit: 'ms',
          series: [
            { way: 'before', values: before },
            { way: 'Ibex installs capture', values: during },
          ],
        },
      ],
      notes: [`The lock time-out is ${config.capture.lockTimeoutMs} ms.`],
      failures: [],
    };
  },
};
