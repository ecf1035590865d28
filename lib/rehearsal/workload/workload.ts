import { setMaxListeners } from 'node:events';
import type { ClientBase } from 'pg';
import { readCatalog, type Catalog, type Table } from './catalog';
import { Choice } from './choice';
import { Ledger } from './ledger';
import { Pace } from './pace';
import { Pauses, type Pause } from './pauses';
import { Pgbench } from './pgbench';
import { probe } from './probe';
import { Session, type Address } from './session';
import { Statistics, type TableReport, type WorkloadStatistics } from './statistics';
import { from, keyOf, keyTexts } from './transaction';
import { Writer, type Shared } from './writer';
import { hashSettings } from '../../../assets/agent/row-hash';

/** What a workload is told. */
export interface WorkloadOptions {
  /** The one address that the writers ever know. */
  address: Address;
  /** Number of connections, each a writer. */
  connections: number;
  /** Transactions per second, of all writers together. */
  rate: number;
  /** File to keep the ledger in; must not exist. */
  ledger: string;
  /** `example`: pgbench's tables in the manner of TPC-B, and all others; `generic`: all alike. */
  tables: 'example' | 'generic';
}

/** An application that keeps writing until it is stopped. */
export interface Workload {
  /** Counters since the start; may be asked at any time. */
  statistics(): WorkloadStatistics;
  /** What is written where, and what cannot be. */
  tables(): TableReport[];
  /** The longest write pause that ended after the instant (of `clock()`); default: since the start. */
  pauses(since?: number): Pause;
  /** The longest write pause within a second of the instant (of `clock()`). */
  pauseAround(instant: number): Pause;
  /** From now on the longest wait of each kind of client is counted anew. */
  mark(): void;
  /** Lets every writer finish its transaction, or its time-out, and closes the ledger. May be called twice. */
  stop(): Promise<WorkloadStatistics>;
}

const keysPerTable = 4_000;
const keysInAll = 200_000;
const probeBudgetMs = 10_000;

/** Reads the catalog, then starts the writers. Fails if the address does not answer at the start. */
export async function startWorkload(options: WorkloadOptions): Promise<Workload> {
  const session = await Session.open(options.address);
  try {
    for (const [name, value] of Object.entries(hashSettings)) await session.query(`SET ${name} = '${value}'`);
    return await start(options, session);
  } finally {
    await session.close();
  }
}

async function start(options: WorkloadOptions, session: Session): Promise<Workload> {
  const { client } = session;
  const catalog = await readCatalog(client);
  const known = [...catalog.tables];
  const pgbench = options.tables === 'example' ? await Pgbench.find(client, catalog) : undefined;
  const ledger = new Ledger(options.ledger);
  for (const { id, schema, name, only, key, columns } of known) {
    const named = key.map((column) => ({ name: column.name, type: column.type }));
    const hashed = columns.map((column) => ({ name: column.name, type: column.type, shape: column.shape }));
    ledger.append({ t: 'table', table: { id, schema, name, only, key: named, columns: hashed } });
  }
  for (const counter of [...(pgbench?.tellers ?? []), ...(pgbench?.branches ?? [])]) {
    ledger.append({ t: 'counter', counter });
  }
  const ending = new AbortController();
  // Each writer listens; Node calls more than ten a leak.
  setMaxListeners(options.connections + 10, ending.signal);
  let last = Math.floor(Math.random() * 500_000_000);
  const shared: Shared = {
    address: options.address,
    writers: options.connections,
    ledger,
    pace: new Pace(options.rate),
    pauses: new Pauses(),
    statistics: new Statistics(),
    choice: new Choice(catalog.tables),
    pgbench,
    signal: ending.signal,
    unique: () => ++last,
  };
  const writers = Array.from({ length: options.connections }, (_, index) => new Writer(index, shared));
  const share = Math.min(keysPerTable, Math.ceil(keysInAll / Math.max(1, catalog.tables.length)));
  for (const table of catalog.tables) await dealKeys(client, table, share, writers);
  const first = writers[0]!;
  await probe(session, shared.choice, ledger, (table) => first.keysOf(table), shared.unique, probeBudgetMs);
  const running = Promise.all(writers.map((writer) => writer.run()));
  let stopped: Promise<WorkloadStatistics> | undefined;
  return {
    statistics: () => shared.statistics.snapshot(),
    tables: () => [...(pgbench?.reports() ?? []), ...shared.choice.reports(), ...unwritable(catalog)],
    pauses: (since) => shared.pauses.longest(since),
    pauseAround: (instant) => shared.pauses.around(instant),
    mark: () => {
      for (const kind of shared.statistics.kinds) kind.mark();
    },
    stop: () =>
      (stopped ??= (async () => {
        ending.abort();
        await running;
        ledger.close();
        return shared.statistics.snapshot();
      })()),
  };
}

/** Every row has one writer, so the order of its versions is certain. A sample of the rows is dealt out in turn. */
async function dealKeys(client: ClientBase, table: Table, atMost: number, writers: Writer[]): Promise<void> {
  const { rows } = await client.query<Record<string, string>>(
    `SELECT ${keyTexts(table, 't')} FROM ${from(table)} t LIMIT ${atMost}`,
  );
  rows.forEach((row, i) => writers[i % writers.length]!.keysOf(table).add(keyOf(table, row), false));
}

const unwritable = (catalog: Catalog): TableReport[] =>
  catalog.unwritable.map(({ table, reason }) => ({ table, operations: {}, unwritable: reason, judged: 'nothing' }));
