import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { Schedule } from '../../../assets/agent/copy/schedule';
import { prepareTargetPlan } from '../../../assets/agent/copy/target-plan';
import { prepareLeases } from '../../../assets/agent/lease';
import { bundleAgent } from '../../../lib/agent-bundle';
import { CopyTest, type Note } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

const PROCESSES = 3;

let copy: CopyTest;
let directory: string;
let program: string;
let configuration: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ibex-process-'));
  program = join(directory, 'ibex.cjs');
  configuration = join(directory, 'ibex.json');
  bundleAgent(program);
  copy = await CopyTest.start();
});
afterAll(async () => {
  await copy.migration.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A pair of databases for which the program is ready to copy, by several processes of one worker each. */
async function prepare(fill: string, settings: Partial<AgentConfig['copy']> = {}): Promise<void> {
  await copy.prepare(fill);
  await copy.within('capture', async ({ state }) => {
    await state.phaseStarted('capture');
    await state.phaseEnded('capture', 'succeeded', 'in this test');
  });
  const { config } = copy.migration;
  const shared = { ...config.copy, processes: PROCESSES, jobs: 1, chunkMegabytes: 0.1, ...settings };
  writeFileSync(configuration, JSON.stringify({ ...config, copy: shared }));
}

const start = (): ChildProcess =>
  spawn(process.execPath, [program, 'copy'], {
    env: { PATH: process.env['PATH'] ?? '', IBEX_CONFIG: configuration },
    stdio: ['ignore', 'pipe', 'inherit'],
  });

/** Waits for the end of the program. Returns its exit status, null after a signal, and what it said. */
function ended(child: ChildProcess): Promise<{ status: number | null; said: string }> {
  let said = '';
  child.stdout?.on('data', (text: Buffer) => (said += text.toString()));
  return new Promise((resolve) => child.once('close', (status: number | null) => resolve({ status, said })));
}

/** Processes of this program, by the command that they run. */
const running = (command: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.includes(program) && words.includes(command);
      } catch {
        return false;
      }
    })
    .map(Number);

/** Kills the program with SIGKILL, and waits until nothing of it is left. */
async function kill(child: ChildProcess): Promise<void> {
  const end = ended(child);
  child.kill('SIGKILL');
  expect((await end).status).toBeNull();
  await until(() => running('copy-worker').length === 0);
}

it('three processes share a copy; killed with SIGKILL, all are gone, and what they copied is kept', async () => {
  const rows = 40_000;
  await prepare(
    `CREATE TABLE large (id uuid PRIMARY KEY, n int, filler text);
     INSERT INTO large SELECT md5(i::text)::uuid, i, repeat('f', 100) FROM generate_series(1, ${rows}) i; ANALYZE`,
    { maxBytesPerSecond: 1_500_000 },
  );
  const first = start();
  await until(async () => running('copy-worker').length === PROCESSES - 1 && (await copy.chunks()) > 5);
  await kill(first);
  const before = await copy.chunks();
  expect(before).toBeGreaterThan(5);

  const second = start();
  const end = ended(second);
  await until(async () => running('copy-worker').length === PROCESSES - 1 && (await copy.chunks()) > before);
  process.kill(running('copy-worker')[0] as number, 'SIGKILL');
  expect(await end).toEqual({ status: 0, said: `copy: ${rows} rows of 1 tables copied, 1 indexes built\n` });
  const { rows: found } = await copy.target.query(
    `SELECT count(*)::int AS n, count(DISTINCT id)::int AS keys FROM large`,
  );
  expect(found).toEqual([{ n: rows, keys: rows }]);
  const context = await copy.migration.context('copy');
  expect(await context.state.counters()).toEqual({ 'rows.copy': rows });
});

/** Where the copy is made to stand still, so that the blow falls there. */
interface Halt {
  readonly server: 'target' | 'host';
  /** Statements for a session of its own, which must not pass until that session has ended. */
  readonly halt: string;
  /** Sessions that stand still then. */
  readonly sessions: number;
  /** Whether that many notes of chunks are as they are to be. */
  readonly noted: (notes: number) => boolean;
}

/** A trigger that waits; each is told from the others by its number. */
const waitAt = (lock: number, table: string, event: string, condition: string): string => `
  CREATE FUNCTION ibex.wait_${lock}() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(${lock}); RETURN NEW; END';
  CREATE TRIGGER wait BEFORE ${event} ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION ibex.wait_${lock}();
  ALTER TABLE ${table} ENABLE ALWAYS TRIGGER wait;
  SELECT pg_advisory_lock(${lock})`;

/** In the order in which the copy gets there. */
const HALTS: readonly Halt[] = [
  // The plan is in the host's memory, and not at the target.
  {
    server: 'target',
    halt: waitAt(1, 'ibex.copy_plan', 'INSERT', 'true'),
    sessions: 1,
    noted: (notes) => notes === 0,
  },
  // The rows of three chunks are at the target, and not committed.
  {
    server: 'target',
    halt: waitAt(2, 'ibex.chunk', 'INSERT', 'NEW.number >= 5'),
    sessions: PROCESSES,
    noted: (notes) => notes === 5,
  },
  // Three chunks are at the target, and the host's memory does not know of them.
  {
    server: 'host',
    halt: waitAt(3, 'ibex.copy_chunk', 'UPDATE', 'NEW.done AND NEW.number >= 10'),
    sessions: PROCESSES,
    noted: (notes) => notes === 10 + PROCESSES,
  },
  // All chunks are there, and the keys that changed meanwhile are about to go.
  {
    server: 'target',
    halt: waitAt(4, 'ibex.relation', 'UPDATE', 'NEW.copied_at IS NOT NULL'),
    sessions: 1,
    noted: (notes) => notes > 10 + PROCESSES,
  },
  // The primary key is being built.
  {
    server: 'target',
    halt: 'BEGIN; LOCK TABLE public.large IN ROW EXCLUSIVE MODE',
    sessions: 1,
    noted: (notes) => notes > 10 + PROCESSES,
  },
];

/** Writes of every kind; rows that grow go to a later page, which is read once more or not yet. */
const write = (round: number): Promise<unknown> =>
  copy.source.query(`
    UPDATE large SET filler = repeat('g', 200) WHERE n % 50 = ${round}; DELETE FROM large WHERE n % 97 = ${round};
    UPDATE large SET id = 'moved ${round} ' || id WHERE n % 101 = ${round};
    INSERT INTO large SELECT md5('${round} ' || i), -i, 'new' FROM generate_series(1, 50) i`);

const hash = (end: 'source' | 'target'): Promise<{ rows: number; hash: string }> =>
  copy.one(
    end,
    `SELECT count(*)::int AS rows, md5(string_agg(t::text, ',' ORDER BY id COLLATE "C")) AS hash FROM large t`,
  );

it('killed in any of its steps while the application writes, it goes on from there and copies nothing twice', async () => {
  await prepare(`
    CREATE TABLE large (id text PRIMARY KEY, n int, filler text);
    INSERT INTO large SELECT md5(i::text), i, repeat('f', 100) FROM generate_series(1, 15000) i; ANALYZE`);
  await copy.within('copy', async (context) => {
    await new Schedule(context.state.client).prepare();
    const master = await context.connect('target');
    await prepareLeases(master, []);
    await prepareTargetPlan(master);
  });
  const holders: Client[] = [];
  for (const { server, halt } of HALTS) {
    const holder = server === 'host' ? await copy.migration.host.connect('ibex') : await copy.migration.admin(server);
    await holder.query(halt);
    holders.push(holder);
  }
  let kept: Note[] = [];
  for (const [step, { sessions, noted }] of HALTS.entries()) {
    const child = start();
    const holder = holders[step] as Client;
    const waiting = 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted';
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode} before step ${step}`);
      return ((await holder.query(waiting)).rows[0] as { n: number }).n === sessions;
    });
    await write(step);
    await kill(child);
    const notes = await copy.notes('public.large');
    expect([step, notes.length, noted(notes.length)]).toEqual([step, notes.length, true]);
    expect(notes).toEqual(expect.arrayContaining(kept));
    kept = notes;
    await holder.end();
  }
  expect((await ended(start())).status).toBe(0);
  expect(await copy.notes('public.large')).toEqual(kept);
  const writers = new Set(kept.map(({ transaction }) => transaction));
  expect([...(await copy.written('public.large')).keys()].filter((transaction) => !writers.has(transaction))).toEqual(
    [],
  );
  await copy.catchUp();
  expect(await hash('target')).toEqual(await hash('source'));
});
