import { Client } from 'pg';
import { admitBucardo, endOrphans } from '../../../assets/agent/bucardo/login';
import { startMigration, type TestMigration } from '../../helpers/migration';

let migration: TestMigration;
beforeAll(async () => {
  migration = await startMigration();
});
afterAll(() => migration.stop());

it('ends the sessions of a process of Bucardo that is gone, on both ends, and no others', async () => {
  const context = await migration.context('sync');
  const [source, target] = [await context.connect('source'), await context.connect('target')];
  const there = await admitBucardo(context, target, []);
  const open = async (endpoint: typeof there, process: number): Promise<Client> => {
    const { host, port, database, user, password } = endpoint;
    const name = `bucardo KID (ibex_1) (PID ${process})`;
    const client = new Client({ host, port, database, user, password, application_name: name });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const here = await context.endpoint('source');
  const gone = [await open(here, 11), await open(there, 11)];
  const alive = [await open(here, 12), await open(there, 12)];
  // At work when its process dies: nothing but the server can end it.
  const asked = gone[1]!.query('SELECT pg_sleep(60)').catch((error: Error) => error.message);
  await endOrphans({ source, target }, () => [12]);
  expect(await asked).toContain('terminating connection');
  await expect(gone[0]!.query('SELECT 1')).rejects.toThrow();
  for (const client of alive) {
    await client.query('SELECT 1');
    await client.end();
  }
});
