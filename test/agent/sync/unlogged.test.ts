import { copyAll } from '../../../assets/agent/copy';
import type { Context } from '../../../assets/agent/context';
import { watchIdentities } from '../../../assets/agent/sync/identity';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { verifyRows } from '../../../assets/agent/verify/rows';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare(`
    CREATE UNLOGGED TABLE cached (id int PRIMARY KEY, v text); INSERT INTO cached SELECT i, 'v' || i FROM generate_series(1, 500) i;
    CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept SELECT generate_series(1, 10)`);
  await copy.within('copy', (context) => copyAll(context, COPY_PROBES));
});
afterAll(() => copy?.migration.stop());

const rows = async (): Promise<number[]> =>
  (
    await copy.target.query(
      'SELECT (SELECT count(*)::int FROM cached) AS cached, (SELECT count(*)::int FROM kept) AS kept',
    )
  ).rows.flatMap((row: { cached: number; kept: number }) => [row.cached, row.kept]);

async function crashTarget(): Promise<void> {
  const { target } = copy.migration;
  await target.kill();
  await target.start();
  await copy.reconnect();
}

const look = async (context: Context): Promise<void> => {
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  await watchIdentities(context, ends);
};

test('an unlogged table that a crash of the target has emptied since it was copied is copied anew, and compared as a whole', async () => {
  await copy.within('verify', async (context) => {
    const relations = await context.with('source', (source) => readRelations(source, context.config));
    expect((await verifyRows(context, relations)).comparison.ok).toBe(true);
  });
  await crashTarget();
  expect(await rows()).toEqual([0, 10]);

  await copy.within('sync', async (context) => {
    await look(context);
    const dirty = await DirtyKeys.open(context);
    const relations = await context.with('source', (source) => readRelations(source, context.config));
    expect((await dirty.count(relations)).unverified).toEqual(['"public"."cached"']);
    expect(await standingProblems(context.state)).toEqual([]);
  });
  await copy.catchUp();
  expect(await rows()).toEqual([500, 10]);

  await copy.within('sync', look);
  const { rowCount } = await copy.source.query('SELECT FROM bucardo.ibex_truncated');
  expect(rowCount).toBe(0);
});
