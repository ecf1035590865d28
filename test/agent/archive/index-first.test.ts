import type { Client } from 'pg';
import { entryMaker, missingIndexes } from '../../../assets/agent/archive/early-indexes';
import { entryTask, makeEntries, type EntryMaker } from '../../../assets/agent/archive/make-entries';
import type { PostDataEntry } from '../../../assets/agent/archive/post-data';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { buildConstraints } from '../../../assets/agent/constraints';
import type { Context } from '../../../assets/agent/context';
import { copiedSchema, type CopiedSchema } from '../../helpers/copied-schema';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';

const SCHEMA = `
  CREATE SCHEMA "my App";
  CREATE TABLE "my App"."Odd ""Table""" ("Id" int, v text, CONSTRAINT "odd; PRIMARY KEY (x)" PRIMARY KEY ("Id"));
  CREATE INDEX ON "my App"."Odd ""Table""" (v);
  CREATE TABLE public.included (a int, b text, c text, PRIMARY KEY (a, b) INCLUDE (c) WITH (fillfactor = 70));
  CREATE TABLE public.coded (id bigint PRIMARY KEY, code text CONSTRAINT "the code" UNIQUE, other text UNIQUE DEFERRABLE);
  CREATE TABLE public.clustered (id int PRIMARY KEY);
  ALTER TABLE public.clustered CLUSTER ON clustered_pkey;
  CREATE TABLE public.late (id int, CONSTRAINT late_pkey PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE public.parted (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
  CREATE TABLE public.part PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
  CREATE TABLE public.booked (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&))`;

const DEFINITIONS = `
  SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS constraint,
    CASE WHEN conindid <> 0 THEN pg_get_indexdef(conindid) END AS index
  FROM pg_constraint WHERE connamespace IN ('public'::regnamespace, '"my App"'::regnamespace) AND contype IN ('p', 'u', 'x')
  ORDER BY 1, 2`;

let migration: TestMigration;
let copied: CopiedSchema;
let source: Client;
let target: Client;
let context: Context;
beforeAll(async () => {
  migration = await startMigration();
});
afterAll(() => migration.stop());

beforeEach(async () => {
  copied = await copiedSchema(migration, SCHEMA);
  ({ source, target, context } = copied);
});
afterEach(() => copied.close());

async function toMake(): Promise<{ maker: EntryMaker; entries: PostDataEntry[] }> {
  const [from, ...workers] = [await context.connect('source'), await context.connect('target')] as const;
  const relations = await readRelations(from, context.config);
  const entries = await missingIndexes(context, from, workers[0], relations);
  return { maker: await entryMaker(context, from, workers, entries, () => undefined), entries };
}

const named = ({ entries }: { entries: PostDataEntry[] }, name: string): PostDataEntry =>
  entries.find((entry) => entry.text.includes(name)) as PostDataEntry;

it('takes the keys of ordinary tables that are nothing but a key, whatever their names', async () => {
  const all = await toMake();
  const found = all.entries.filter(({ key }) => all.maker.indexesFirst.has(key)).map(({ text }) => text.split(' ')[2]);
  expect(found.sort()).toEqual(['App', 'booked', 'coded', 'included', 'part']);
});

it('makes of two steps what one statement makes, all others included', async () => {
  const { maker, entries } = await toMake();
  await makeEntries(maker, entries);
  await buildConstraints(context, await context.connect('target'));
  const expected = (await source.query(DEFINITIONS)).rows;
  expect(expected.length).toBeGreaterThan(9);
  expect((await target.query(DEFINITIONS)).rows).toEqual(expected);
});

it('builds the index of a key while another index of its table is being built', async () => {
  const all = await toMake();
  const [worker] = all.maker.workers as [Client];
  await target.query(`BEGIN; CREATE INDEX beside ON public.coded (other)`);
  const step = entryTask(all.maker, named(all, 'coded_pkey'));
  expect(step).toMatchObject({ needs: [], shares: [expect.any(Number)] });
  const constraint = await step.run(worker);
  await target.query('COMMIT');
  expect(constraint).toMatchObject({ needs: step.shares });
  await constraint?.run(worker);
  const { rows } = await target.query(`SELECT conname FROM pg_constraint WHERE conrelid = 'public.coded'::regclass`);
  expect(rows).toContainEqual({ conname: 'coded_pkey' });
});

it('builds an index while another of its table is held up', async () => {
  await copied.close();
  copied = await copiedSchema(
    migration,
    `CREATE TABLE public.twice (id int, n int); INSERT INTO twice VALUES (1, 1);
     CREATE FUNCTION public.held(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql
       AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN n; END';
     CREATE INDEX a_held ON public.twice (public.held(n)); CREATE INDEX b_free ON public.twice (id)`,
  );
  ({ source, target, context } = copied);
  await target.query(`
    SET session_replication_role = replica; INSERT INTO public.twice VALUES (1, 1); SELECT pg_advisory_lock(7)`);
  const { maker, entries } = await toMake();
  const workers = [...maker.workers, await context.connect('target')];
  const inOrder = [named({ entries }, 'a_held'), named({ entries }, 'b_free')];

  const making = makeEntries({ ...maker, workers }, inOrder);
  const isThere = async (index: string): Promise<boolean> =>
    (await target.query('SELECT to_regclass($1) IS NOT NULL AS there', [`public.${index}`])).rows[0].there as boolean;
  await until(() => isThere('b_free'), { seconds: 20 });
  expect(await isThere('a_held')).toBe(false);
  await target.query('SELECT pg_advisory_unlock(7)');
  await making;
  expect(await isThere('a_held')).toBe(true);
});

it('does not build it again when it is killed between the two', async () => {
  const all = await toMake();
  const [worker] = all.maker.workers as [Client];
  await entryTask(all.maker, named(all, 'coded_pkey')).run(worker);
  const file = `SELECT pg_relation_filenode('public.coded_pkey')::text AS file`;
  const before = (await target.query(file)).rows;

  const again = await toMake();
  expect(named(again, 'coded_pkey')).toBeDefined();
  await makeEntries(again.maker, again.entries);
  expect((await target.query(file)).rows).toEqual(before);
  const { rows } = await target.query(
    `SELECT conindid::regclass::text AS index FROM pg_constraint WHERE conname = 'coded_pkey'`,
  );
  expect(rows).toEqual([{ index: 'coded_pkey' }]);
});

it('keeps a constraint whole whose definition has changed since the schema was dumped', async () => {
  await source.query(
    `ALTER TABLE public.included DROP CONSTRAINT included_pkey, ADD CONSTRAINT included_pkey PRIMARY KEY (b)`,
  );
  const all = await toMake();
  expect(all.maker.indexesFirst.has(named(all, 'coded_pkey').key)).toBe(true);
  expect(all.maker.indexesFirst.has(named(all, 'included_pkey')?.key)).toBe(false);
});

it('reads the table from its beginning where the index is sorted within memory, and nowhere else', async () => {
  const { maker, entries } = await toMake();
  const [worker] = maker.workers as [Client];
  const asked: string[] = [];
  const query = worker.query.bind(worker) as (...args: unknown[]) => unknown;
  worker.query = ((...args: unknown[]) => {
    asked.push(String(args[0]));
    return query(...args);
  }) as typeof worker.query;
  const inOrder = named({ entries }, 'coded_pkey');
  await makeEntries({ ...maker, sortedInMemory: new Set([inOrder.key]) }, entries);
  const unsynchronized = asked.map((text, i) =>
    text.includes('synchronize_seqscans') ? asked.slice(i, i + 3).join() : '',
  );
  expect(unsynchronized.filter((text) => text !== '')).toEqual([
    expect.stringContaining('coded_pkey'),
    expect.stringContaining('coded_pkey'),
  ]);
});
