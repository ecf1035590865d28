import type { Client } from 'pg';
import { refreshViews } from '../../../assets/agent/cutover/refresh-views';
import { startMigration, type TestMigration } from '../../helpers/migration';

const VIEWS = `
  CREATE TABLE item (id int PRIMARY KEY);
  CREATE MATERIALIZED VIEW plain AS SELECT id FROM public.item;
  CREATE MATERIALIZED VIEW above AS SELECT max(id) FROM public.plain;
  CREATE MATERIALIZED VIEW keyed AS SELECT id FROM public.item;
  CREATE UNIQUE INDEX ON keyed (id);
  CREATE MATERIALIZED VIEW partly AS SELECT id FROM public.item;
  CREATE UNIQUE INDEX ON partly (id) WHERE id > 0;
  INSERT INTO item VALUES (1)`;

let migration: TestMigration;
let [source, target, reader]: Client[] = [];
beforeAll(async () => {
  migration = await startMigration();
  const context = await migration.context('cutover');
  [source, target] = [await context.connect('source'), await context.connect('target')];
  reader = await migration.admin('target');
  await (await migration.admin('source')).query(VIEWS);
  await target.query(`SET search_path = public; ${VIEWS}; SET search_path = pg_catalog`);
});
afterAll(() => migration.stop());

const rows = async (view: string): Promise<number> => (await reader!.query(`SELECT FROM public.${view}`)).rowCount ?? 0;
const refreshed = () => refreshViews(source!, target!, migration.config);

it('refreshes each view, those that others rest on first', async () => {
  expect(await refreshed()).toEqual({ refreshed: 4, left: [] });
  for (const view of ['plain', 'keyed', 'partly']) expect([view, await rows(view)]).toEqual([view, 1]);
  expect((await reader!.query('SELECT max FROM public.above')).rows).toEqual([{ max: 1 }]);
});

it('refreshes beside a reader what has a unique index, and names the others with the statement to run', async () => {
  await target!.query('INSERT INTO public.item VALUES (2)');
  const long = await migration.admin('target');
  await long.query('BEGIN; SELECT FROM public.plain; SELECT FROM public.keyed; SELECT FROM public.partly');
  const running = refreshed();
  await reader!.query(`SET statement_timeout = '1s'`);
  for (const view of ['plain', 'keyed', 'partly']) await rows(view);
  const busy = (view: string): string =>
    `"public"."${view}" (canceling statement due to lock timeout): REFRESH MATERIALIZED VIEW "public"."${view}"`;
  expect(await running).toEqual({ refreshed: 2, left: [busy('partly'), busy('plain')] });
  expect([await rows('keyed'), await rows('plain')]).toEqual([2, 1]);
  await long.query('COMMIT');
  expect(await refreshed()).toMatchObject({ left: [] });
  expect(await rows('plain')).toBe(2);
});
