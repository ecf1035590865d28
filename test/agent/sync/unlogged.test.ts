import { UNBRAKED } from '../../../assets/agent/brake/paced';
import { copyAll } from '../../../assets/agent/copy';
import type { Context } from '../../../assets/agent/context';
import { watchIdentities } from '../../../assets/agent/sync/identity';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { verifyRows } from '../../../assets/agent/verify/rows';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
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

async function crashOneProcess(): Promise<void> {
  await copy.migration.target.crash();
  await copy.reconnect();
}

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

const relationsOf = (context: Context): Promise<Relation[]> =>
  context.with('source', (source) => readRelations(source, context.config));

test('an unlogged table that a crash of the target has emptied since it was copied is copied anew, and compared as a whole', async () => {
  await copy.within('verify', async (context) => {
    expect((await verifyRows(context, await relationsOf(context))).comparison.ok).toBe(true);
  });
  await crashTarget();
  expect(await rows()).toEqual([0, 10]);

  await copy.within('sync', async (context) => {
    await look(context);
    const dirty = await DirtyKeys.open(context);
    expect((await dirty.count(await relationsOf(context))).unverified).toEqual(['"public"."cached"']);
    expect(await standingProblems(context.state)).toEqual([]);
  });
  await copy.catchUp();
  expect(await rows()).toEqual([500, 10]);

  await copy.within('sync', look);
  const { rowCount } = await copy.source.query('SELECT FROM bucardo.ibex_truncated');
  expect(rowCount).toBe(0);
});

test('so it is after a crash of one process, which the server outlives: it tells its earlier start', async () => {
  const startedAt = async (): Promise<unknown> =>
    (await copy.target.query('SELECT pg_postmaster_start_time()::text AS at')).rows;
  const before = await startedAt();
  await crashOneProcess();
  expect(await startedAt()).toEqual(before);
  expect(await rows()).toEqual([0, 10]);
  await copy.within('sync', async (context) => {
    await look(context);
    expect(await standingProblems(context.state)).toEqual([]);
  });
  await copy.catchUp();
  expect(await rows()).toEqual([500, 10]);
});

test.each<[string, () => Promise<void>]>([
  ['the crash', crashTarget],
  ['the crash of one process', crashOneProcess],
])(
  'a comparison that meets %s before anybody else does calls no row of it different, since all are brought anew',
  async (_, happens) => {
    let crash: (() => Promise<void>) | undefined = happens;
    /** Once a first chunk was compared. */
    const clear = async (): Promise<void> => {
      const now = crash;
      crash = undefined;
      await now?.();
    };
    await copy.within(
      'verify',
      async (context) => {
        Object.assign(context, { brake: { ...UNBRAKED, clear } });
        const { comparison } = await verifyRows(context, await relationsOf(context));
        expect(comparison).toMatchObject({ notCompared: [], rowsDifferent: 0, inFlight: 500 });
      },
      { verify: { ...copy.migration.config.verify, chunkRows: 100, jobs: 1 } },
    );
    await copy.catchUp();
    expect(await rows()).toEqual([500, 10]);
  },
);

test('so is one that the source has logged by now: the target that has it unlogged empties it all the same', async () => {
  await copy.source.query('ALTER TABLE cached SET LOGGED');
  await crashTarget();
  expect(await rows()).toEqual([0, 10]);
  await copy.within('sync', look);
  await copy.catchUp();
  expect(await rows()).toEqual([500, 10]);
});
