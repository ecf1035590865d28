import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { CatchUp } from '../../../assets/agent/catch-up/rounds';
import type { Context } from '../../../assets/agent/context';
import { approach } from '../../../assets/agent/cutover/approach';
import { readInTheWay, untilNoneInTheWay } from '../../../assets/agent/fence/in-the-way';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { until } from '../../helpers/until';

let server: TestPostgres;
let client: Client;
let other: Client;

beforeAll(async () => {
  server = await startPostgres({ version: 11, settings: { max_prepared_transactions: '2', autovacuum_naptime: '1s' } });
  [client, other] = [await server.connect(), await server.connect()];
  // A sweep of some hundred pages, of which each costs a delay.
  await client.query(`
    CREATE SCHEMA ibex; CREATE TABLE ibex.own (i int); CREATE TABLE item (id int PRIMARY KEY);
    CREATE TABLE swept WITH (autovacuum_enabled = off, autovacuum_vacuum_threshold = 0,
      autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 20, autovacuum_vacuum_cost_limit = 1) AS
    SELECT i, repeat('x', 500) AS filler FROM generate_series(1, 1500) i`);
});
afterAll(async () => {
  await Promise.all([client.end(), other.end()]);
  await server.stop();
});

/** How the wait ended, and all that it told meanwhile. */
async function wait(waitMs: number) {
  const found: string[] = [];
  const began = performance.now();
  const outcome = await untilNoneInTheWay(client, waitMs, (holders) => found.push(...holders));
  return { ...outcome, found, ms: performance.now() - began };
}

it.each([
  ['nobody', ''],
  ['a writer', 'INSERT INTO item VALUES (1)'],
  ['a reader that locks rows', 'SELECT * FROM item FOR UPDATE'],
  ['DDL on a table of ours', 'ALTER TABLE ibex.own ADD j int'],
])('%s is no reason to wait', async (_, statement) => {
  await other.query(`BEGIN; ${statement}`);
  expect(await wait(5_000)).toMatchObject({ waited: false, left: [], found: [] });
  await other.query('ROLLBACK');
});

it.each([
  ['CREATE INDEX ON item (id)', 'ShareLock'],
  [
    'CREATE TRIGGER t BEFORE INSERT ON item EXECUTE PROCEDURE suppress_redundant_updates_trigger()',
    'ShareRowExclusiveLock',
  ],
  ['ANALYZE item', 'ShareUpdateExclusiveLock'],
  ['ALTER TABLE item ADD n int', 'AccessExclusiveLock'],
])('%s is named with its lock and table, without its text, and waited for', async (statement, lock) => {
  await other.query(`SET application_name = 'migration of the application'; BEGIN; ${statement}`);
  const { rows } = await other.query('SELECT pg_backend_pid() AS pid');
  const { pid } = rows[0] as { pid: number };
  const waiting = wait(20_000);
  await sleep(150);
  await other.query('ROLLBACK');
  const { left, waited, found } = await waiting;
  expect({ left, waited }).toEqual({ left: [], waited: true });
  expect(found).toContain(`client backend ${pid} (migration of the application) holds ${lock} on "public"."item"`);
  expect(found.join()).not.toContain(statement);
});

it('a prepared transaction that nobody ends is waited for within the limit', async () => {
  await other.query(`BEGIN; LOCK TABLE item IN EXCLUSIVE MODE; PREPARE TRANSACTION 'p'`);
  const line = 'a prepared transaction holds ExclusiveLock on "public"."item"';
  const { left, waited, ms } = await wait(250);
  await other.query(`ROLLBACK PREPARED 'p'`);
  expect({ left, waited }).toEqual({ left: [line], waited: true });
  expect(ms).toBeLessThan(2_000);
});

it('an autovacuum is waited for, and caught up once more before writes are stopped', async () => {
  await client.query('DELETE FROM swept WHERE i % 40 = 0; ALTER TABLE swept SET (autovacuum_enabled = on)');
  await until(async () => (await readInTheWay(client)).length > 0);
  const told: { inTheWay: string[] }[] = [];
  const rounds: boolean[] = [];
  const context = {
    log: {
      info: (facts: { inTheWay?: string[] }) => facts.inTheWay && told.push({ inTheWay: facts.inTheWay }),
      warn: () => told.push({ inTheWay: ['warned'] }),
    },
    progress: { report: () => undefined },
  } as unknown as Context;
  const catchUp = {
    ready: () => Promise.resolve(),
    until: async () => rounds.push((await readInTheWay(other)).length === 0),
  } as unknown as CatchUp;
  await approach(context, client, catchUp, 60_000);
  expect(told[0]?.inTheWay[0]).toMatch(/^autovacuum worker \d+ holds ShareUpdateExclusiveLock on "public"."swept"$/);
  expect([rounds[0], rounds.at(-1)]).toEqual([false, true]);
  expect(told.flatMap(({ inTheWay }) => inTheWay)).not.toContain('warned');
});

it('writes are stopped all the same after the limit, having said who was in the way', async () => {
  await other.query('BEGIN; ANALYZE item');
  const warned: unknown[] = [];
  const context = {
    log: { info: () => undefined, warn: (...words: unknown[]) => warned.push(words) },
    progress: { report: () => undefined },
  } as unknown as Context;
  let rounds = 0;
  await approach(
    context,
    client,
    { ready: () => Promise.resolve(), until: async () => (rounds += 1) } as unknown as CatchUp,
    200,
  );
  await other.query('ROLLBACK');
  expect(JSON.stringify(warned)).toMatch(/in the way of the fence for 0 s; writes are stopped all the same/);
  expect(rounds).toBe(2);
});
