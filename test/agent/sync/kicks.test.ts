import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { Kicks } from '../../../assets/agent/sync/kicks';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let server: TestPostgres;
let client: Client;
let kicks: Kicks;
const heard: string[] = [];

beforeAll(async () => {
  server = await startPostgres();
  const setUp = await server.connect();
  await setUp.query('CREATE DATABASE bucardo');
  client = await server.connect('bucardo');
  client.on('notification', ({ payload }) => heard.push(payload ?? ''));
  await client.query('LISTEN bucardo_kid');
  const { host, port, user } = server;
  const config = { host: { postgres: { host, port, user } }, sync: {} } as unknown as AgentConfig;
  kicks = new Kicks(config, 20);
});
afterAll(() => server.stop());

/** Waits for so many kicks from now on. */
async function hear(count: number): Promise<string[]> {
  heard.length = 0;
  while (heard.length < count) await client.query('SELECT');
  return heard;
}

describe('kicks', () => {
  test('tell each active sync to run, again and again, as soon as there is one', async () => {
    await client.query(`CREATE SCHEMA bucardo; CREATE TABLE bucardo.sync (name text, status text)`);
    await client.query(
      `INSERT INTO bucardo.sync VALUES ('ibex', 'active'), ('ibex2', 'inactive'), ('ibex3', 'active')`,
    );
    const names = await hear(6);
    expect(new Set(names)).toEqual(new Set(['run_ibex', 'run_ibex3']));
  });

  test('go on when the session was cut off, and end when they are closed', async () => {
    const { rowCount } = await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'bucardo' AND pid <> pg_backend_pid()`,
    );
    expect(rowCount).toBe(1);
    await hear(4);
    await kicks.close();
    const others = `SELECT FROM pg_stat_activity WHERE datname = 'bucardo' AND pid <> pg_backend_pid()`;
    while ((await client.query(others)).rowCount !== 0);
    heard.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 60));
    await client.query('SELECT');
    expect(heard).toEqual([]);
  });
});
