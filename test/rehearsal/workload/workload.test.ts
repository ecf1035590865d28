import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkLedger } from '../../../lib/rehearsal/workload/check-ledger';
import type { LedgerLine } from '../../../lib/rehearsal/workload/ledger';
import { clock } from '../../../lib/rehearsal/workload/pauses';
import type { TableReport } from '../../../lib/rehearsal/workload/statistics';
import { startWorkload, type Workload, type WorkloadOptions } from '../../../lib/rehearsal/workload/workload';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { applicationSchema } from './application';
import { until } from '../../helpers/until';

let directory: string;
let server: TestPostgres;
let databases = 0;
const workloads: Workload[] = [];

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ibex-ledger-'));
  server = await startPostgres({ version: 11 });
  const client = await server.connect();
  await client.query('CREATE DATABASE model');
  await client.end();
  const model = await server.connect('model');
  await model.query(applicationSchema);
  await model.end();
});
afterEach(() => Promise.all(workloads.splice(0).map((workload) => workload.stop())));
afterAll(async () => {
  await server?.stop();
  fs.rmSync(directory, { recursive: true, force: true });
});

/** A database of its own, so that no test sees another's rows. */
async function newDatabase(): Promise<string> {
  const database = `app${databases++}`;
  const client = await server.connect();
  await client.query(`CREATE DATABASE ${database} TEMPLATE model`);
  await client.end();
  return database;
}

async function start(database: string, options: Partial<WorkloadOptions> = {}): Promise<[Workload, string]> {
  const ledger = path.join(directory, `${database}.ledger`);
  const address = { host: server.host, port: server.port, user: server.user, database };
  const workload = await startWorkload({ address, connections: 4, rate: 300, tables: 'example', ledger, ...options });
  workloads.push(workload);
  return [workload, ledger];
}

async function verdictOf(database: string, ledger: string): ReturnType<typeof checkLedger> {
  const client = await server.connect(database);
  try {
    return await checkLedger(ledger, client);
  } finally {
    await client.end();
  }
}

const acknowledged = (workload: Workload): number => workload.statistics().acknowledgedTransactions;

describe('an undisturbed workload', () => {
  it.each(['example', 'generic'] as const)('loses nothing and names what it writes (%s)', async (tables) => {
    const database = await newDatabase();
    const [workload, ledger] = await start(database, { tables, rate: 1_000 });
    const report = (table: string): TableReport => workload.tables().find((each) => each.table === table)!;
    const names = ['insert', 'insert again', 'update text', 'change key', 'swap weight', 'swap name', 'delete'];
    const all = (): boolean => names.every((name) => report('Shop.label').operations[name]!.done > 0);
    await until(() => acknowledged(workload) >= 600 && all());
    const statistics = await workload.stop();
    const verdict = await verdictOf(database, ledger);
    expect(verdict.examples).toEqual([]);
    expect(verdict).toMatchObject({ lostWrites: 0, unknownWrites: 0 });
    expect(verdict.acknowledgedWrites).toBe(statistics.acknowledgedWrites);
    expect(statistics.rolledBackTransactions).toBeGreaterThan(0);
    expect(statistics.clientErrors).toBeLessThan(20);

    expect(report('Shop.keyless').unwritable).toBe('it has no primary key');
    expect(report('Shop.closed').unwritable).toContain('closed for ever');
    expect(report('Shop.total').judged).toBe('presence');
    expect(report('Shop.Customer').judged).toBe('version');
    expect(report('public.pgbench_history').operations.insert?.done).toBeGreaterThan(0);
    expect(names.filter((name) => report('Shop.label').operations[name]!.dropped)).toEqual([]);
    const written = Object.values(report('Shop.Customer').operations).filter(({ done }) => done > 0);
    expect(written.length).toBeGreaterThan(8);
  });

  it('is no faster than its pace', async () => {
    const [workload] = await start(await newDatabase(), { rate: 50 });
    await until(() => acknowledged(workload) >= 10);
    const [from, before] = [performance.now(), acknowledged(workload)];
    await until(() => acknowledged(workload) >= before + 100);
    expect(100 / ((performance.now() - from) / 1_000)).toBeLessThan(60);
  });
});

describe('a disturbed workload', () => {
  it('comes back after a crash of the server and loses nothing', async () => {
    const database = await newDatabase();
    const [workload, ledger] = await start(database, { rate: 1_000 });
    for (let crash = 0; crash < 2; crash++) {
      const before = acknowledged(workload);
      await until(() => acknowledged(workload) >= before + 150);
      await server.kill();
      await server.start();
    }
    const before = acknowledged(workload);
    await until(() => acknowledged(workload) >= before + 200);
    const statistics = await workload.stop();
    const verdict = await verdictOf(database, ledger);
    expect(verdict.examples).toEqual([]);
    expect(verdict.lostWrites).toBe(0);
    expect(statistics.clientErrors).toBeGreaterThan(0);
    expect(Object.keys(statistics.clientErrorsBy).length).toBeGreaterThan(0);
  });

  it('measures the pause when the server stands still', async () => {
    const [workload] = await start(await newDatabase());
    await until(() => acknowledged(workload) >= 50);
    const from = clock();
    server.freeze();
    await sleep(2_000);
    server.thaw();
    const stoppedFor = clock() - from;
    const before = acknowledged(workload);
    await until(() => acknowledged(workload) > before + 20);
    const pause = workload.pauses(from);
    expect(pause.longestMs).toBeGreaterThan(1_900);
    expect(pause.longestMs).toBeLessThan(stoppedFor + 1_000);
    expect(Math.abs(pause.at! - from)).toBeLessThan(500);
    expect(workload.pauseAround(from + 1_000).longestMs).toBe(pause.longestMs);
    expect(workload.pauses(clock()).longestMs).toBeLessThan(500);
  });

  it('waits out a fence that raises 25006, on new connections', async () => {
    const database = await newDatabase();
    const [workload, ledger] = await start(database);
    await until(() => acknowledged(workload) >= 50);
    const admin = await server.connect(database);
    await admin.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`,
      [database],
    );
    await until(() => (workload.statistics().clientErrorsBy['25006'] ?? 0) > 20);
    await admin.query('SET default_transaction_read_only = off');
    await admin.query(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
    await admin.end();
    const before = acknowledged(workload);
    await until(() => acknowledged(workload) >= before + 50);
    await workload.stop();
    expect((await verdictOf(database, ledger)).lostWrites).toBe(0);
  });
});

describe('a database that broke its promises', () => {
  let database: string;
  let ledger: string;
  let lines: LedgerLine[];

  const readLines = (): void => {
    const text = fs.readFileSync(ledger, 'utf8').trim().split('\n');
    lines = text.map((line) => JSON.parse(line) as LedgerLine);
  };
  const isRich = (): boolean => {
    readLines();
    const enough = (keys: unknown[]): boolean => keys.length > 1;
    return enough(inserted()) && enough(updated()) && enough(deleted()) && enough(ghosts()) && enough(changes());
  };

  beforeAll(async () => {
    database = await newDatabase();
    const [workload, file] = await start(database, { rate: 1_000 });
    ledger = file;
    await until(() => acknowledged(workload) >= 300);
    while (!isRich()) await sleep(100);
    await workload.stop();
    readLines();
  });

  const tableId = (name: string): number => {
    const line = lines.find((each) => each.t === 'table' && each.table.name === name);
    return line?.t === 'table' ? line.table.id : -1;
  };

  /** Keys of a table by the last acknowledged thing that happened to them. */
  const keysWhoseLast = (table: string, suits: (kind: string, present: boolean) => boolean): string[] => {
    const id = tableId(table);
    const confirmed = new Set(lines.flatMap((line) => (line.t === 'acknowledged' ? [line.x] : [])));
    const last = new Map<string, [string, boolean]>();
    for (const line of lines) {
      if (line.t !== 'intended' || !confirmed.has(line.x)) continue;
      for (const [in_, key, kind, , after] of line.w) if (in_ === id) last.set(key[0]!, [kind, after !== null]);
    }
    return [...last].flatMap(([key, state]) => (suits(...state) ? [key] : []));
  };

  const inserted = (): string[] => keysWhoseLast('label', (kind, present) => kind === 'insert' && present);
  const updated = (): string[] => keysWhoseLast('label', (kind) => kind === 'update');
  const deleted = (): string[] => keysWhoseLast('label', (kind) => kind === 'delete');

  /** Keys whose insert was rolled back, and which nothing else happened to. */
  const ghosts = (): string[] => {
    const id = tableId('label');
    const writes = lines.flatMap((line) => ('w' in line ? line.w.filter(([table]) => table === id) : []));
    const real = new Set(writes.flatMap(([, key, kind]) => (kind === 'observed' ? [] : [key[0]])));
    return writes.flatMap(([, key, , before]) => (before === null && !real.has(key[0]) ? [key[0]!] : []));
  };

  /** Changes of a key to another, both as they were left. */
  const changes = (): [from: string, to: string][] => {
    const id = tableId('label');
    const present = new Set(keysWhoseLast('label', (kind, there) => kind === 'key' && there));
    const gone = new Set(keysWhoseLast('label', (kind, there) => kind === 'key' && !there));
    return lines.flatMap((line): [string, string][] => {
      const keys = line.t === 'intended' ? line.w.filter(([t, , kind]) => t === id && kind === 'key') : [];
      const [from, to] = keys.map(([, key]) => key[0]!);
      return keys.length === 2 && from && to && gone.has(from) && present.has(to) ? [[from, to]] : [];
    });
  };

  const tamper = async (statement: string, values: unknown[]): ReturnType<typeof checkLedger> => {
    const client = await server.connect(database);
    try {
      expect(await checkLedger(ledger, client)).toMatchObject({ lostWrites: 0 });
      await client.query('CREATE TEMP TABLE kept AS SELECT * FROM "Shop".label');
      await client.query('CREATE TEMP TABLE branches AS SELECT * FROM pgbench_branches');
      expect((await client.query(statement, values)).rowCount).toBe(1);
      return await checkLedger(ledger, client);
    } finally {
      await client.query('BEGIN; TRUNCATE "Shop".label; INSERT INTO "Shop".label SELECT * FROM kept');
      await client.query('TRUNCATE pgbench_branches; INSERT INTO pgbench_branches SELECT * FROM branches; COMMIT');
      await client.end();
    }
  };

  it('is found out when a row is missing', async () => {
    const [key] = inserted();
    const verdict = await tamper('DELETE FROM "Shop".label WHERE name = $1', [key]);
    expect(verdict).toMatchObject({ lostWrites: 1, lostRows: 1 });
    expect(verdict.examples[0]).toMatchObject({ table: 'Shop.label', key: `name=${key}`, found: 'absent' });
  });

  it('is found out when an update is reverted', async () => {
    const [key] = updated();
    const verdict = await tamper(`UPDATE "Shop".label SET text = 'as it was' WHERE name = $1`, [key]);
    expect(verdict).toMatchObject({ lostWrites: 1, lostUpdates: 1 });
  });

  it('is found out when a deleted row is back', async () => {
    const [key] = deleted();
    const verdict = await tamper('INSERT INTO "Shop".label (name) VALUES ($1)', [key]);
    expect(verdict).toMatchObject({ lostWrites: 1, revivedDeletes: 1 });
  });

  it('is found out when a row is there whose insert was rolled back', async () => {
    const [key] = ghosts();
    const verdict = await tamper('INSERT INTO "Shop".label (name) VALUES ($1)', [key]);
    expect(verdict).toMatchObject({ lostWrites: 1, ghostRows: 1 });
  });

  it('is found out when a row has its old key again', async () => {
    const verdict = await tamper('UPDATE "Shop".label SET name = $1 WHERE name = $2', changes()[0]!);
    expect(verdict).toMatchObject({ lostWrites: 2, lostRows: 1, revivedDeletes: 1 });
  });

  it('is found out when a shared counter lost an increment', async () => {
    const verdict = await tamper('UPDATE pgbench_branches SET bbalance = bbalance - $1', [1]);
    expect(verdict).toMatchObject({ lostWrites: 1, countersWrong: 1 });
    expect(verdict.examples[0]).toMatchObject({ table: 'public.pgbench_branches', kind: 'counter' });
  });
});
