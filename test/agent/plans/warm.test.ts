import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { warmTarget, type WarmOutcome } from '../../../assets/agent/plans/warm';
import { startMigration, type TestMigration } from '../../helpers/migration';

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  const target = await migration.target.connect(migration.config.target.database);
  for (const client of [source, target]) {
    await client.query(`
      CREATE TABLE public.large AS SELECT n AS id, repeat('x', 100) AS line FROM generate_series(1, 20000) AS n;
      CREATE TABLE public.small AS SELECT n AS id FROM generate_series(1, 2000) AS n;
      CREATE INDEX large_id ON public.large (id);
      ALTER TABLE public.large SET (autovacuum_enabled = off);
      ALTER TABLE public.small SET (autovacuum_enabled = off)`);
  }
  await target.query('GRANT pg_read_all_data TO master');
  await target.end();
});
afterAll(() => migration.stop());

/** Warms a target whose memory was just emptied by a restart. */
async function warm(settings: Partial<AgentConfig['plans']>, prewarm: boolean): Promise<WarmOutcome | undefined> {
  const before = await migration.target.connect();
  // Else recovery would read the tables itself.
  await before.query('CHECKPOINT');
  await migration.target.kill();
  await migration.target.start();
  const admin = await migration.target.connect(migration.config.target.database);
  await admin.query(prewarm ? 'CREATE EXTENSION IF NOT EXISTS pg_prewarm' : 'DROP EXTENSION IF EXISTS pg_prewarm');
  await admin.end();
  const context = await migration.context('plans', { plans: { ...migration.config.plans, ...settings } });
  return warmTarget(context, await context.connect('source'), await context.connect('target'));
}

/** Blocks of a table that are not in memory, as a query that reads them all finds. */
async function cold(statement: string): Promise<number> {
  const client = await migration.target.connect(migration.config.target.database);
  const { rows } = await client
    .query(
      `SET enable_seqscan = ${statement.includes('WHERE') ? 'off' : 'on'}; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`,
    )
    .then((results) => (results as unknown as { rows: { 'QUERY PLAN': [{ Plan: Record<string, number> }] }[] }[])[1]!);
  await client.end();
  return rows[0]!['QUERY PLAN'][0].Plan['Shared Read Blocks'] ?? -1;
}

const LARGE = 'SELECT count(line) FROM public.large';
const INDEX = 'SELECT count(*) FROM public.large WHERE id BETWEEN 100 AND 15000';

test('nothing is read unless it is wanted', async () => {
  await expect(warm({}, true)).resolves.toBeUndefined();
  expect(await cold(LARGE)).toBeGreaterThan(200);
});

test('tables and indexes are in memory afterwards, the smallest first', async () => {
  await expect(warm({ warm: 'size' }, true)).resolves.toMatchObject({
    by: 'pg_prewarm',
    relations: 3,
    left: 0,
    problems: [],
  });
  expect(await cold(LARGE)).toBe(0);
  expect(await cold(INDEX)).toBe(0);
});

test('no more is read than the budget, and what does not fit is passed over', async () => {
  const outcome = await warm({ warm: 'size', warmMegabytes: 1 }, true);
  expect(outcome).toMatchObject({ relations: 2, left: 1 });
  expect(outcome?.bytes).toBeLessThan(1_000_000);
  expect(await cold(LARGE)).toBeGreaterThan(200);
});

test('tables are read through where pg_prewarm cannot be had, and nothing is left behind', async () => {
  await expect(warm({ warm: 'size' }, false)).resolves.toMatchObject({ by: 'reading', relations: 2, problems: [] });
  expect(await cold(LARGE)).toBe(0);
});
