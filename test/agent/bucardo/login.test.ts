import { finished } from 'node:stream/promises';
import { Client } from 'pg';
import { from } from 'pg-copy-streams';
import { admitBucardo, endOrphans, endSourceSessions, expelBucardo } from '../../../assets/agent/bucardo/login';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { dropBucardoLogin } from '../../../assets/agent/cleanup/bucardo-login';
import { setBackClock } from '../../helpers/clock';
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

it('names sessions that do not end within half a minute, whatever becomes of the clock', async () => {
  const stuck = { query: async () => ({ rows: [{ pid: 7, application: 'bucardo KID' }] }) } as unknown as Client;
  let at = performance.now();
  const spies = [setBackClock(), jest.spyOn(performance, 'now').mockImplementation(() => (at += 10_000))];
  await expect(endSourceSessions(stuck)).rejects.toThrow(
    'sessions of Bucardo on the source do not end (pid 7); end them there and start again',
  );
  for (const spy of spies) spy.mockRestore();
});

it('may use the schema of what a key is compared by, since it would be compared as text otherwise', async () => {
  const context = await migration.context('sync');
  const target = await context.connect('target');
  const admin = await migration.admin('target');
  await target.query('CREATE SCHEMA kinds');
  await admin.query('CREATE EXTENSION citext SCHEMA kinds');
  await target.query('CREATE TABLE public.coded (code kinds.citext PRIMARY KEY)');
  const { host, port, database, user, password } = await admitBucardo(
    context,
    target,
    await readRelations(target, migration.config),
  );
  const client = new Client({ host, port, database, user, password });
  await client.connect();
  await client.query(`SET search_path = pg_catalog, kinds; SET session_replication_role = 'replica'`);
  await client.query(`INSERT INTO public.coded VALUES ('A')`);
  // As Bucardo finds the rows of the keys that have changed.
  expect((await client.query(`DELETE FROM public.coded WHERE code = ANY ('{a}')`)).rowCount).toBe(1);
  await client.end();
  await expelBucardo(target);
  await target.query('DROP TABLE public.coded');
  await admin.query('DROP EXTENSION citext; DROP SCHEMA kinds');
  await admin.end();
});

describe('a table of the target with row security', () => {
  const MADE = `
    CREATE ROLE keeper; GRANT keeper TO CURRENT_USER; CREATE SCHEMA guarded; GRANT ALL ON SCHEMA guarded TO keeper;
    CREATE TABLE guarded.tenant (id int PRIMARY KEY); INSERT INTO guarded.tenant VALUES (1), (2);
    ALTER TABLE guarded.tenant ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON guarded.tenant USING (id = current_setting('app.tenant')::int);
    ALTER TABLE guarded.tenant OWNER TO keeper`;
  const BYPASSES = `SELECT rolbypassrls AS bypasses FROM pg_roles WHERE rolname = 'ibex_bucardo'`;

  let admin: Client;
  let master: Client;
  beforeEach(async () => {
    admin = await migration.admin('target');
    master = await (await migration.context('sync')).connect('target');
    await master.query(MADE);
  });
  afterEach(async () => {
    await admin.query('ALTER ROLE master NOBYPASSRLS; DROP SCHEMA guarded CASCADE');
    await dropBucardoLogin(master);
    await master.query('DROP ROLE keeper');
    await admin.end();
  });

  const relations = async (): Promise<Relation[]> =>
    (await readRelations(master, migration.config)).filter(({ schema }) => schema === 'guarded');

  /** What Bucardo does with a row, in a session like its own. Returns the rows that are left. */
  async function written(): Promise<unknown[]> {
    const there = await admitBucardo(await migration.context('sync'), master, await relations());
    const { host, port, database, user, password } = there;
    const client = new Client({ host, port, database, user, password });
    await client.connect();
    try {
      await client.query(`SET row_security = off; SET session_replication_role = 'replica'`);
      await client.query('DELETE FROM guarded.tenant WHERE id = 1');
      const copy = client.query(from('COPY guarded.tenant FROM STDIN'));
      copy.end('3\n');
      await finished(copy);
    } finally {
      await client.end();
      await expelBucardo(master);
    }
    return (await admin.query('SELECT id FROM guarded.tenant ORDER BY 1')).rows as unknown[];
  }

  it('is written by Bucardo as a member of the owner, where its login cannot be let bypass it, and as such it goes', async () => {
    expect(await written()).toEqual([{ id: 2 }, { id: 3 }]);
    expect((await admin.query(BYPASSES)).rows).toEqual([{ bypasses: false }]);
    await dropBucardoLogin(master);
    expect((await admin.query(BYPASSES)).rows).toEqual([]);
  });

  it('is written by a login that bypasses it, also where it is forced on owners, when ours may make one', async () => {
    await admin.query('ALTER TABLE guarded.tenant FORCE ROW LEVEL SECURITY; ALTER ROLE master BYPASSRLS');
    expect(await written()).toEqual([{ id: 2 }, { id: 3 }]);
    expect((await admin.query(BYPASSES)).rows).toEqual([{ bypasses: true }]);
    await admin.query('ALTER TABLE guarded.tenant NO FORCE ROW LEVEL SECURITY');
  });

  it('is named when it would refuse Bucardo all the same', async () => {
    await admin.query('ALTER TABLE guarded.tenant OWNER TO master');
    await expect(written()).rejects.toThrow(
      /^row security of guarded\.tenant would refuse role "ibex_bucardo" on the target \(.*; as one who may, give it BYPASSRLS there/,
    );
  });
});
