import { join } from 'node:path';
import { capture as capturePhase } from '../../assets/agent/capture';
import { DEBIAN_POSTGRES } from '../rehearsal/lab/packages';
import { absentees, inTurn, onlyRounds, type Benchmark, type Way } from './benchmark';
import { Bucardo, expectStockTriggers, STOCK } from './bucardo';
import { forgetState, runPhase } from './copy-ways';
import { runLoad } from './pgbench-load';
import { runProgram, seconds } from './program';
import type { BenchServers } from './servers';
import { installStatementTriggers } from './statement-triggers';
import { figureOf, valuesOf } from './statistics';

/** Of pgbench. */
export const CLIENTS = 16;

/** Rows of the statement that changes many. */
const BULK = 100_000;

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

const byStatement: Noted = {
  name: 'triggers for each statement',
  database: 'noted_by_statement',
  mostRounds: 3,
  prepare: async (servers) => {
    await forgetState(servers, servers.config(byStatement.database));
    await installStatementTriggers(servers.config(byStatement.database));
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

/** Installs our capture, as its phase does. */
export const install = (servers: BenchServers, database: string): Promise<unknown> =>
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

/** Changes many rows with one statement. Returns the seconds that it took, its commit included. */
async function changeMany(servers: BenchServers, { database }: Noted): Promise<number> {
  const client = await servers.connect('source', database);
  try {
    return await seconds(() =>
      client.query('UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid <= $1', [BULK]),
    );
  } finally {
    await client.end();
  }
}

/** What noting every change costs the application. */
export const capture: Benchmark = {
  name: 'capture',
  title: 'Cost of capture for the application',
  about: `pgbench -N with ${CLIENTS} clients as fast as they can: bare, with the triggers of our capture, and with those that stock Bucardo itself has installed, autokick included. Beside them a trial of what our capture could be: triggers for each statement that read its rows from transition tables. No one reads the queues meanwhile. One statement that changes ${BULK.toLocaleString('en')} rows is measured after each load.`,
  minutes: { full: 2.6, quick: 0.6 },
  run: async ({ servers, quick, rounds, log }) => {
    const ways = [bare, ours, byStatement, stock];
    const bulk = new Map<Noted, number[]>();
    for (const way of ways) {
      await makeWritten(servers, way.database, quick ? 2 : 20);
      await way.prepare(servers);
    }
    const { series, failures } = await inTurn(
      ways,
      rounds(5),
      async (way) => {
        await settle(servers, way);
        const load = await runLoad(servers, way.database, { clients: CLIENTS, seconds: quick ? 2 : 5 });
        bulk.set(way, [...(bulk.get(way) ?? []), await changeMany(servers, way)]);
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
      charts: [
        { title: 'Transactions a second; more is better', unit: '/s', series },
        {
          title: `One update of ${BULK.toLocaleString('en')} rows`,
          unit: 's',
          series: [...bulk].map(([way, values]) => ({ way: way.name, values })),
        },
      ],
      notes: [...ways.flatMap(onlyRounds), ...absentees(ways)],
      failures,
    };
  },
};
