import timers from 'node:timers/promises';
import type { Client } from 'pg';
import { blockersOf, inTheWay, longHolders, pauseAfter } from '../../../assets/agent/capture/busy';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

const PATIENT_MS = 600_000;

let server: TestPostgres;
let client: Client;
let oid: number;
beforeAll(async () => {
  server = await startPostgres({ version: 15 });
  client = await server.connect();
  await client.query('CREATE ROLE mover; CREATE TABLE item (id int PRIMARY KEY)');
  const { rows } = await client.query(`SELECT 'item'::regclass::oid::int AS oid`);
  oid = (rows[0] as { oid: number }).oid;
  const holder = await server.connect();
  await holder.query(`SET application_name = 'nightly report'; BEGIN; LOCK TABLE item IN ROW EXCLUSIVE MODE`);
});
afterAll(() => server.stop());

describe('a transaction that holds a table', () => {
  it('is told with its age, and is long when it is older than a wait of ours', async () => {
    expect(inTheWay(await blockersOf(client, oid, false))).toMatch(/^pid \d+ \(postgres, nightly report, \d+ s\): SET/);
    expect(await longHolders(client, [oid], PATIENT_MS)).toEqual([]);
    expect(await longHolders(client, [oid], 0)).toHaveLength(1);
  });

  it('is taken for long where the login may not see its age, and that is said', async () => {
    await client.query('SET ROLE mover');
    const blockers = await longHolders(client, [oid], PATIENT_MS);
    await client.query('RESET ROLE');
    expect(inTheWay(blockers)).toMatch(
      /^pid \d+ \(postgres, nightly report, age not visible without pg_read_all_stats\): <insufficient privilege>$/,
    );
  });
});

describe('the pauses between tries', () => {
  /** Pauses after so many tries, of which none is waited for; milliseconds. */
  async function pausesAfter(attempt: number): Promise<number[]> {
    const sleep = jest.spyOn(timers, 'setTimeout').mockResolvedValue(undefined);
    try {
      for (let time = 1; time <= 100; time += 1) await pauseAfter(attempt);
      return sleep.mock.calls.map(([milliseconds]) => milliseconds ?? 0);
    } finally {
      sleep.mockRestore();
    }
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

  it('double with each try, up to some seconds, however many there were', async () => {
    const means = [];
    for (const attempt of [1, 2, 3, 4, 5, 6]) means.push(mean(await pausesAfter(attempt)));
    for (const [index, next] of means.slice(1).entries()) expect(next / (means[index] ?? 0)).toBeCloseTo(2, 0);
    for (const attempt of [7, 20, 1_000]) {
      const pauses = await pausesAfter(attempt);
      expect([mean(pauses) > 3_000, Math.max(...pauses) <= 7_500]).toEqual([true, true]);
    }
  });

  it('differ widely from each other, so that two who meet do not meet again', async () => {
    const pauses = await pausesAfter(3);
    expect(new Set(pauses).size).toBeGreaterThan(90);
    expect(Math.max(...pauses) - Math.min(...pauses)).toBeGreaterThan(mean(pauses) / 2);
  });
});
