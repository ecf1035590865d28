import type { Client } from 'pg';
import { entryMaker, missingIndexes, type IndexEntry } from '../../../assets/agent/archive/early-indexes';
import { entryTask } from '../../../assets/agent/archive/make-entries';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import type { Context } from '../../../assets/agent/context';
import { IndexBuilder } from '../../../assets/agent/copy/index-builder';
import { copiedSchema, type CopiedSchema } from '../../helpers/copied-schema';
import { startMigration, type TestMigration } from '../../helpers/migration';

const SCHEMA = `
  CREATE FUNCTION public.half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2';
  CREATE TABLE public.small (id int PRIMARY KEY, n int, note text);
  CREATE INDEX small_note ON public.small (note);
  CREATE INDEX small_half ON public.small (public.half(n));
  CREATE TABLE public.other (id int PRIMARY KEY, note text);
  CREATE INDEX other_note ON public.other (note);
  CREATE TABLE public.large (id int PRIMARY KEY, note text);
  CREATE INDEX large_note ON public.large (note);
  INSERT INTO public.large SELECT i, 'n' FROM generate_series(1, 60000) i;`;

const ROWS = `INSERT INTO public.small SELECT i, i, 'note' FROM generate_series(1, 100) i`;

/** Indexes and rows of statistics of the application's tables, and the transactions that made each table's. */
const MADE = `
  SELECT t.relname AS table, array_agg(i.relname::text ORDER BY i.relname) AS indexes, count(DISTINCT i.xmin::text)::int AS transactions,
    (SELECT count(*)::int FROM pg_stats s WHERE s.schemaname = 'public' AND s.tablename IN (t.relname, 'small_half')) AS columns
  FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
  WHERE t.relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 1`;

let migration: TestMigration;
let copied: CopiedSchema;
let target: Client;
let context: Context;
let relations: Map<string, Relation>;
beforeAll(async () => {
  migration = await startMigration();
});
afterAll(() => migration.stop());
beforeEach(async () => {
  copied = await copiedSchema(migration, SCHEMA);
  ({ target, context } = copied);
  await target.query(`SET session_replication_role = 'replica'; ${ROWS}`);
  const from = await context.connect('source');
  relations = new Map((await readRelations(from, context.config)).map((relation) => [relation.name, relation]));
});
afterEach(() => copied.close());

const open = async (pauses: readonly number[] = []): Promise<IndexBuilder> =>
  IndexBuilder.open(
    context,
    await context.connect('source'),
    await context.connect('target'),
    [...relations.values()],
    pauses,
  );

async function build(builder: IndexBuilder, ...names: readonly string[]): Promise<IndexBuilder> {
  for (const name of names) builder.add(relations.get(name) as Relation);
  await builder.close();
  return builder;
}

it('makes all of a small relation in one transaction, statistics of expressions included', async () => {
  const builder = await build(await open(), 'small');
  expect(builder).toMatchObject({ failures: [], built: 3 });
  expect((await target.query(MADE)).rows).toEqual([
    { table: 'small', indexes: ['small_half', 'small_note', 'small_pkey'], transactions: 1, columns: 4 },
  ]);
});

it('makes each index of a large one for itself', async () => {
  await build(await open(), 'large');
  expect((await target.query(MADE)).rows).toMatchObject([{ indexes: ['large_note', 'large_pkey'], transactions: 2 }]);
});

it('names the one that cannot be built, and builds the others', async () => {
  await target.query('CREATE TABLE public.small_note ()');
  const builder = await build(await open(), 'small', 'other');
  expect(builder.failures).toEqual([
    expect.stringMatching(/^INDEX public small_note .* cannot be made .*already exists/),
  ]);
  expect((await target.query(MADE)).rows).toMatchObject([
    { table: 'other', indexes: ['other_note', 'other_pkey'], transactions: 1 },
    { table: 'small', indexes: ['small_half', 'small_pkey'], columns: 4 },
  ]);
});

it('goes on where a run was killed that had built the index of the key alone', async () => {
  const [from, worker] = [await context.connect('source'), await context.connect('target')];
  const missing = await missingIndexes(context, from, worker, [...relations.values()]);
  const maker = await entryMaker(context, from, [worker], missing, () => undefined);
  const key = missing.find(({ text }) => text.includes('small_pkey')) as IndexEntry;
  await entryTask(maker, key).run(worker);
  expect((await target.query(MADE)).rows).toMatchObject([{ indexes: ['small_pkey'] }]);

  expect(await build(await open(), 'small')).toMatchObject({ failures: [], built: 3 });
  expect((await target.query(MADE)).rows).toMatchObject([{ indexes: ['small_half', 'small_note', 'small_pkey'] }]);
  const { rows } = await target.query(
    `SELECT conname FROM pg_constraint WHERE conrelid = 'public.small'::regclass AND contype = 'p'`,
  );
  expect(rows).toEqual([{ conname: 'small_pkey' }]);
});

it('builds none twice', async () => {
  await build(await open(), 'small');
  expect(await build(await open(), 'small')).toMatchObject({ failures: [], built: 0 });
});

it('does not wait once more for each of thousands when the target stays away', async () => {
  const builder = await open();
  await target.end();
  await migration.target.kill();
  await build(builder, 'small', 'large', 'other');
  await migration.target.start();
  target = await migration.admin('target');
  expect(builder.failures.length).toBeGreaterThan(0);
  // Each session may have met it once.
  expect(builder.failures.length).toBeLessThanOrEqual(2);
  expect(builder.built).toBe(0);
});
