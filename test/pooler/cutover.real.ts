import { mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ClientConfig } from 'pg';
import type { ClientsSaw } from '../../assets/agent/cutover/clients-saw';
import { bundle } from '../../lib/bundle';
import { serverAccount } from '../../lib/rehearsal/lab/account';
import { LabPooler, CONSOLE_SECRET } from '../../lib/rehearsal/lab/pooler';
import { freePorts } from '../../lib/rehearsal/lab/ports';
import { removeLabDirectory } from '../../lib/rehearsal/lab/lab-directory';
import { startBothWays, type BothWays } from '../agent/cutover/both-ways';
import { PASSWORD } from '../helpers/migration';
import { nodeClients, perlClients, pgbench, poolClients, psqlClients, strayClients, type Clients } from './clients';

jest.setTimeout(180_000);

const BUDGET_SECONDS = 5;
const TABLES = `
  CREATE TABLE written (client text, number int, PRIMARY KEY (client, number));
  CREATE TABLE probe (id int PRIMARY KEY);
  CREATE ROLE application LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}';
  GRANT ALL ON written, probe TO application`;

let lab: string;
let ways: BothWays;
let pooler: LabPooler;
let address: ClientConfig;

beforeAll(async () => {
  lab = mkdtempSync(join(tmpdir(), 'ibex-pooled-'));
  chmodSync(lab, 0o755);
  const [clients = 0, console = 0] = await freePorts(2);
  ways = await startBothWays(
    TABLES,
    { budgetSeconds: BUDGET_SECONDS, switches: [{ kind: 'pooler' }] },
    async ({ source, target, config, secrets }) => {
      const database = String(config.source.database);
      pooler = await LabPooler.start({
        lab,
        account: serverAccount(),
        ports: { clients, console },
        sides: { source, target },
        database,
        login: { user: 'application', password: PASSWORD },
        budgetSeconds: BUDGET_SECONDS,
        log: (line) => process.stderr.write(`${line}\n`),
      });
      writeFileSync(join(secrets, CONSOLE_SECRET), JSON.stringify(pooler.console), { mode: 0o600 });
      address = {
        host: '127.0.0.1',
        port: clients,
        database,
        user: 'application',
        password: PASSWORD,
        ssl: { rejectUnauthorized: false },
      };
      return { applicationLogins: { application: 'login' }, pooler: pooler.config };
    },
    (file) => bundle({ entry: 'test/agent/cutover/dying-program.ts', outFile: file, target: 'node20' }),
  );
});
afterAll(async () => {
  await ways?.stop();
  await removeLabDirectory(lab);
  rmSync(lab, { recursive: true, force: true });
});

const everybody = (): Record<string, Clients> => ({
  'node-postgres': nodeClients(address, 4),
  'node-postgres with its pool': poolClients(address, 4),
  'DBD::Pg': perlClients(address, 4),
  psql: psqlClients(address, 2),
});

const rowsOf = async (end: 'source' | 'target', kind: RegExp): Promise<string[]> => {
  const { rows } = await ways[end].query(`SELECT client || ' ' || number AS row FROM public.written ORDER BY 1`);
  return (rows as { row: string }[]).map(({ row }) => row).filter((row) => kind.test(row));
};

test('real clients go through a cutover, a rollback and a second cutover without an error', async () => {
  const script = join(lab, 'pgbench.sql');
  writeFileSync(script, `\\set n random(1, 2000000000)\nINSERT INTO written VALUES ('pgbench-' || :client_id, :n);\n`);
  const clients = everybody();
  const bench = pgbench(address, script, 25);
  const progress = () => Promise.all(Object.values(clients).map((each) => each.progress(20)));
  for (const phase of ['cutover', 'rollback', 'cutover']) {
    await progress();
    const { status, output } = await ways.run(phase);
    expect([status, output]).toEqual([0, expect.stringMatching(/takes writes; the poolers lead to the/)]);
    process.stderr.write(`${output}\n`);
    await progress();
    expect(await pooler.side()).toBe(phase === 'cutover' ? 'target' : 'source');
    const { pauseMs, clientsSaw } = (await ways.fact(
      phase === 'cutover' ? 'cutover.result' : 'back.cutover.result',
    )) as { pauseMs: number; clientsSaw: ClientsSaw };
    const held = clientsSaw.kinds.filter(({ how }) => how.startsWith('waited at pooler'));
    expect(held.map(({ application }) => application)).toEqual(expect.arrayContaining(['', 'pgbench', 'psql']));
    for (const each of held) expect(each).toMatchObject({ user: 'application', errors: 0 });
    // Whoever began a transaction as soon as they were held has waited nearly as long as the pause.
    const longest = Math.max(...held.map(({ longestWaitMs = 0 }) => longestWaitMs));
    expect(longest / pauseMs).toBeGreaterThan(0.5);
    expect(longest / pauseMs).toBeLessThan(1.5);
  }
  const { done, said } = await bench;
  expect(said).toMatch(/number of failed transactions: 0 /);
  const acknowledged: string[] = [];
  for (const [kind, each] of Object.entries(clients)) {
    const seen = await each.stop();
    process.stderr.write(
      `${kind}: ${seen.acknowledged.length} writes, ${seen.errors.length} errors, longest wait ${Math.round(seen.longestMs)} ms\n`,
    );
    expect([kind, seen.errors]).toEqual([kind, []]);
    acknowledged.push(...seen.acknowledged);
  }
  process.stderr.write(`pgbench: ${done} writes\n`);
  expect(done).toBeGreaterThan(500);
  expect(await rowsOf('target', /^(?!pgbench)/)).toEqual(acknowledged.sort());
  expect(await rowsOf('target', /^pgbench/)).toHaveLength(done);
  expect(await ways.run('rollback')).toMatchObject({ status: 0 });
});

/**
 * A transaction that is open whenever the clients are held, and then stays open. Until then it is a young one again and
 * again: the gates would name an old one before anything is stopped.
 */
function stuckTransaction() {
  const ending = new AbortController();
  let holds = false;
  const done = (async () => {
    const clients = [new Client(address), new Client(address)];
    for (const each of clients) await each.on('error', () => undefined).connect();
    const open = (each: Client) => each.query(`BEGIN; INSERT INTO written VALUES ('stuck', ${Math.random() * 1e9})`);
    let [current, other] = clients as [Client, Client];
    await open(current);
    while (!ending.signal.aborted && !(holds ||= await pooler.isPaused())) {
      const next = open(other).catch(() => undefined);
      // Held, the other one waits; this one is what it waits for.
      while (!(await Promise.race([next, sleep(300)])) && !(holds ||= await pooler.isPaused()));
      if (holds) break;
      await current.query('ROLLBACK');
      [current, other] = [other, current];
    }
    while (!ending.signal.aborted) await sleep(50);
    for (const each of clients) await each.end();
  })();
  return {
    holds: () => holds,
    end: async () => {
      ending.abort();
      await done;
    },
  };
}

/** Whether a client of the pooler may write now, and how long it waited. */
async function writes(): Promise<{ ms: number; error?: string }> {
  const begin = performance.now();
  const client = new Client({ ...address, connectionTimeoutMillis: 30_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(`INSERT INTO written VALUES ('late-' || $1, 1)`, [Math.random()]);
    return { ms: performance.now() - begin };
  } catch (error) {
    return { ms: performance.now() - begin, error: (error as Error).message };
  } finally {
    await client.end().catch(() => undefined);
  }
}

test('a transaction that does not end spends the budget, and writes go on at the source without an error', async () => {
  const clients = everybody();
  await Promise.all(Object.values(clients).map((each) => each.progress(5)));
  const stuck = stuckTransaction();
  const { status, output } = await ways.run('cutover');
  expect([status, output]).toEqual([1, expect.stringMatching(/transactions on pooler .* did not end within/)]);
  await Promise.all(Object.values(clients).map((each) => each.progress(5)));
  for (const each of Object.values(clients)) {
    const { errors, longestMs } = await each.stop();
    expect(errors).toEqual([]);
    expect(longestMs).toBeLessThan((BUDGET_SECONDS + 5) * 1000);
  }
  await stuck.end();
  expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([true, false]);
});

test('a program that is killed while clients are held: they go on at the source within the budget and five seconds', async () => {
  const stuck = stuckTransaction();
  await ways.kill('cutover', () => Promise.resolve(stuck.holds()));
  const { ms, error } = await writes();
  await stuck.end();
  process.stderr.write(`killed while clients were held: a write took ${Math.round(ms)} ms\n`);
  expect(error).toBeUndefined();
  expect(ms).toBeGreaterThan(500);
  expect(ms).toBeLessThan((BUDGET_SECONDS + 5) * 1000);
  expect(await pooler.side()).toBe('source');
  expect(await ways.run('cutover')).toMatchObject({ status: 0 });
});

test('a program that is killed before it lets clients go on: with the next run they do, pooled or not they saw nothing but a refusal, nothing is lost', async () => {
  if (!(await ways.takesWrites('target'))) expect(await ways.run('cutover')).toMatchObject({ status: 0 });
  const { host, port, database } = ways.migration.config.target;
  const pooled = strayClients(address, 4);
  const direct = strayClients({ ...address, ssl: false, host, port, database }, 2);
  try {
    await Promise.all([pooled.progress(5), direct.progress(5)]);
    const { killed } = await ways.die('rollback', { IBEX_TEST_STEP: 'let clients go on', IBEX_TEST_MOMENT: 'before' });
    expect([killed, await ways.fences()]).toEqual([true, ['open', 'final']]);
    expect(await ways.run('rollback')).toMatchObject({ status: 0 });
    expect(await writes()).toEqual({ ms: expect.any(Number) });
    expect(await pooler.side()).toBe('source');
  } finally {
    const [behind, past] = [await pooled.stop(), await direct.stop()];
    process.stderr.write(
      `behind the pooler: ${behind.errors.length} errors, longest wait ${Math.round(behind.longestMs)} ms; past it: ${past.errors.length} errors\n`,
    );
    // A pooler that was left waiting for too long goes back to where it came from, where writes are refused.
    expect(behind.errors.filter((code) => code !== '25006')).toEqual([]);
    expect(new Set(past.errors)).toEqual(new Set(['25006']));
    const there = new Set(await rowsOf('source', /./));
    expect([...behind.acknowledged, ...past.acknowledged].filter((row) => !there.has(row))).toEqual([]);
  }
});
