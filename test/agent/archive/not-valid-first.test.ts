import type { Client } from 'pg';
import { entryScripts } from '../../../assets/agent/archive/entry-sql';
import { makeEntries, type EntryMaker } from '../../../assets/agent/archive/make-entries';
import { notValidFirst } from '../../../assets/agent/archive/not-valid-first';
import { applicationEntries, classify, type PostDataEntry } from '../../../assets/agent/archive/post-data';
import { prepareRestored, unrestored } from '../../../assets/agent/archive/restored';
import { schemaArchive } from '../../../assets/agent/archive/schema-dump';
import { readToc } from '../../../assets/agent/archive/toc';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { buildConstraints } from '../../../assets/agent/constraints';
import type { Context } from '../../../assets/agent/context';
import { copiedSchema, type CopiedSchema } from '../../helpers/copied-schema';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';

const SCHEMA = `
  CREATE SCHEMA "my App";
  CREATE TABLE "my App"."Odd ""Table""" (id int PRIMARY KEY, self int CONSTRAINT "odd; FOREIGN KEY (x)" REFERENCES "my App"."Odd ""Table""");
  CREATE TABLE public.parent (id int PRIMARY KEY, code text UNIQUE);
  CREATE TABLE public.child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES public.parent);
  CREATE TABLE public.second (id int PRIMARY KEY, code text CONSTRAINT second_code REFERENCES public.parent (code)
    MATCH FULL ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE public.unchecked (id int PRIMARY KEY, parent int);
  CREATE TABLE public.empty (id int PRIMARY KEY, parent int CONSTRAINT empty_parent REFERENCES public.parent);
  CREATE TABLE public.parted (id int PRIMARY KEY, parent int CONSTRAINT parted_parent REFERENCES public.parent) PARTITION BY RANGE (id);
  CREATE TABLE public.part PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
  INSERT INTO "my App"."Odd ""Table""" VALUES (1, 1);
  INSERT INTO public.parent VALUES (1, 'a');
  INSERT INTO public.child VALUES (1, 1);
  INSERT INTO public.second VALUES (1, 'a');
  INSERT INTO public.unchecked VALUES (1, 1000);
  INSERT INTO public.parted VALUES (1, 1);
  ALTER TABLE public.unchecked ADD CONSTRAINT unchecked_parent FOREIGN KEY (parent) REFERENCES public.parent NOT VALID`;

const DEFINITIONS = `
  SELECT conrelid::regclass::text AS table, conname AS name, convalidated AS valid, pg_get_constraintdef(oid) AS definition
  FROM pg_constraint WHERE connamespace IN ('public'::regnamespace, '"my App"'::regnamespace) AND contype <> 'n' ORDER BY 1, 2`;

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

/** What is to be made, with two sessions that call `before` ahead of each statement. */
async function toMake(
  before: (text: string) => Promise<unknown> | void = () => undefined,
): Promise<{ maker: EntryMaker; entries: PostDataEntry[] }> {
  const from = await context.connect('source');
  const workers = [await context.connect('target'), await context.connect('target')] as const;
  await prepareRestored(workers[0]);
  const archive = schemaArchive(context.config.host.stateDirectory);
  const all = await applicationEntries(from, await readToc(context.config, archive, 'post-data'));
  const entries = await classify(from, await unrestored(workers[0], all), []);
  const scripts = await entryScripts(context.config, archive, entries);
  const two = { indexesFirst: new Map(), notValidFirst: await notValidFirst(from, entries, scripts, 0) };
  for (const worker of workers) {
    const query = worker.query.bind(worker) as (...args: unknown[]) => unknown;
    worker.query = (async (...args: unknown[]) => {
      await before(String(args[0]));
      return query(...args);
    }) as typeof worker.query;
  }
  return { maker: { workers, owners: [], warnings: [], scripts, ...two, made: () => undefined }, entries };
}

async function make(before?: (text: string) => Promise<unknown> | void): Promise<void> {
  const { maker, entries } = await toMake(before);
  await makeEntries(maker, entries);
}

const states = async (): Promise<{ oid: string; valid: boolean }[]> =>
  (
    await target.query(
      `SELECT oid::text AS oid, convalidated AS valid FROM pg_constraint WHERE conname IN ('child_parent', 'second_code') ORDER BY pg_constraint.oid`,
    )
  ).rows as { oid: string; valid: boolean }[];

it('takes the foreign keys between ordinary tables that hold for every row on the source, whatever their names', async () => {
  const { maker, entries } = await toMake();
  const found = entries.filter(({ key }) => maker.notValidFirst?.has(key)).map(({ text }) => text);
  expect(found.map((text) => / (child_parent|second_code|odd; FOREIGN KEY \(x\)) /.exec(text)?.[1]).sort()).toEqual([
    'child_parent',
    'odd; FOREIGN KEY (x)',
    'second_code',
  ]);
});

it('makes of two steps what one statement makes, all others included', async () => {
  await make();
  const expected = (await source.query(DEFINITIONS)).rows;
  expect(expected.filter((row: { valid: boolean }) => !row.valid)).toHaveLength(1);
  expect((await target.query(DEFINITIONS)).rows).toEqual(expected);
});

it('validates foreign keys to one table side by side, after all of them are made', async () => {
  const steps: string[] = [];
  let validating = 0;
  await make(async (text) => {
    const step = /(VALIDATE|ADD) CONSTRAINT (child_parent|second_code)/.exec(text)?.[1];
    if (step === undefined) return;
    steps.push(step);
    if (step === 'VALIDATE') validating += 1;
    if (step === 'VALIDATE') await until(() => validating === 2, { seconds: 20 });
  });
  expect(steps).toEqual(['ADD', 'ADD', 'VALIDATE', 'VALIDATE']);
});

it('makes none of them again when it is killed before they are validated', async () => {
  const killed = make((text) => {
    if (text.includes('VALIDATE CONSTRAINT')) throw new Error('killed');
  });
  await expect(killed).rejects.toThrow('killed');
  const before = await states();
  expect(before.map(({ valid }) => valid)).toEqual([false, false]);
  await make();
  expect(await states()).toEqual(before.map(({ oid }) => ({ oid, valid: true })));
});

it('names the constraint that rows break, and goes on with its validation once they are right', async () => {
  await target.query('SET session_replication_role = replica');
  await target.query(`INSERT INTO public.parent VALUES (1, 'a'); INSERT INTO public.child VALUES (1, 77)`);
  await expect(make()).rejects.toThrow(
    /FK CONSTRAINT public child child_parent .* cannot be made on the target: .*"child_parent".*\(parent\)=\(77\).*; the source has such rows too, or the target's differ: correct them at the source/,
  );
  const before = await states();
  await target.query('UPDATE public.child SET parent = 1');
  await make();
  expect(await states()).toEqual(before.map(({ oid }) => ({ oid, valid: true })));
});

it('makes the foreign keys of small tables in one statement, those of others in two', async () => {
  await source.query('INSERT INTO public.child SELECT i, 1 FROM generate_series(2, 40000) i');
  await buildConstraints(context, await context.connect('target'));
  const { rows } = await target.query(`SELECT entry FROM ibex.restored WHERE entry LIKE 'not valid: %'`);
  expect(rows).toEqual([{ entry: expect.stringContaining('child_parent') }]);
});

it('blames no row of the source where a table is of another instant, since it is truncated all the time', async () => {
  await target.query('SET session_replication_role = replica');
  await target.query('INSERT INTO public.part VALUES (1, 77)');
  const relations = await readRelations(source, context.config);
  const restless = relations.filter(({ name }) => name === 'part');
  const failing = buildConstraints(context, await context.connect('target'), restless);
  await expect(failing).rejects.toThrow(
    /FK CONSTRAINT public parted parted_parent .* cannot be made on the target: .*\(parent\)=\(77\).*; "public"."part" was truncated or rewritten .* in each closing round, .*: keep that away meanwhile, then start this phase again$/,
  );
});
