import type { Client } from 'pg';
import { blockersOf, inTheWay, longHolders } from '../../../assets/agent/capture/busy';
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
