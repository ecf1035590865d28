import type { Client } from 'pg';
import { readCatalog } from '../../../assets/agent/verify/catalog-objects';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { until } from '../../helpers/until';

let server: TestPostgres;
let reader: Client;
let loader: Client;
let other: Client;
beforeAll(async () => {
  server = await startPostgres({ version: 17 });
  [reader, loader, other] = await Promise.all([server.connect(), server.connect(), server.connect()]);
  await other.query(`
    CREATE TABLE public.free (id int); CREATE TABLE public.loaded (id int);
    CREATE VIEW public.v1 AS SELECT * FROM public.free; CREATE VIEW public.v2 AS SELECT * FROM public.free;
    CREATE VIEW public.v3 AS SELECT * FROM public.loaded;
    CREATE VIEW public.v4 AS SELECT * FROM public.free; CREATE VIEW public.v5 AS SELECT * FROM public.free`);
});
afterAll(() => server?.stop());
beforeEach(() => loader.query('BEGIN; LOCK TABLE public.loaded'));
afterEach(() => loader.query('ROLLBACK'));

it('a catalog is read without keeping others from one table while it waits for another', async () => {
  const reading = readCatalog(reader, [], 'source');
  const isWaiting = `SELECT count(*) = 2 AS it FROM pg_locks
    WHERE mode = 'AccessShareLock' AND granted = (relation = 'public.free'::regclass)
      AND relation IN ('public.free'::regclass, 'public.loaded'::regclass)`;
  await until(async () => (await other.query<{ it: boolean }>(isWaiting)).rows[0]?.it);
  await other.query(`SET lock_timeout = '2s'`);
  await other.query('TRUNCATE public.free');
  await loader.query('ROLLBACK');
  expect((await reading).filter(({ kind }) => kind === 'view')).toHaveLength(5);
});

it('a table that nobody may look at for so long is named, with who has it', async () => {
  await expect(readCatalog(reader, [], 'source', 700)).rejects.toThrow(
    /^the catalog of the source could not be read in 0.7 s; locked: public\.loaded by pid \d+ \(postgres, .*, \d+ s\): .*LOCK TABLE public\.loaded; end that, or wait, and start again$/,
  );
});
