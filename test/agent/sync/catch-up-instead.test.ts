import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import { copyAll } from '../../../assets/agent/copy';
import { Lease, prepareLeases } from '../../../assets/agent/lease';
import { catchUpInstead, recopyTruncated } from '../../../assets/agent/sync/catch-up-instead';
import { keepCatalog } from '../../../assets/agent/sync/catalog-watch';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { SupervisorMemory } from '../../../assets/agent/sync/memory';
import { RecopyTries } from '../../../assets/agent/sync/recopy-tries';
import { syncedRelations } from '../../../assets/agent/sync/synced';
import { TakeBack } from '../../../assets/agent/sync/take-back';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare(`
    CREATE TABLE item (id int PRIMARY KEY, v int);
    CREATE TABLE waiting (id int PRIMARY KEY, v int);
    INSERT INTO waiting VALUES (1, 0)`);
  await copy.within('copy', (context) => copyAll(context, COPY_PROBES));
});
afterAll(() => copy?.migration.stop());

/** A Bucardo that never starts, so that what comes after catch-up fails. */
const withoutBucardo = (): Partial<AgentConfig> => ({
  host: { ...copy.migration.config.host, bucardo: '/bin/false' },
});

test('a truncated table that cannot be copied anew is read from the source again only after a while', async () => {
  await copy.within(
    'supervise',
    async (context) => {
      const ends = { source: await context.connect('source'), target: await context.connect('target') };
      const watch = { context, ends, relations: await syncedRelations(context, ends) };
      const tries = new RecopyTries();
      const takeovers = async (): Promise<number> => (await context.state.counters())['sync.takeovers'] ?? 0;
      await copy.target.query('ALTER TABLE waiting ADD CONSTRAINT small CHECK (v < 100)');
      await copy.source.query('TRUNCATE waiting; INSERT INTO waiting VALUES (2, 1000)');
      await expect(recopyTruncated(watch, tries)).rejects.toThrow('"public"."waiting" cannot be applied');
      const before = await takeovers();

      await recopyTruncated(watch, tries);
      expect(await takeovers()).toBe(before);
      expect(tries.failing).toBe(true);

      await copy.target.query('ALTER TABLE waiting DROP CONSTRAINT small');
      await until(() => tries.ready);
      // Bucardo does not start, which is for another duty to mend.
      await expect(recopyTruncated(watch, tries)).rejects.toThrow();
      expect((await copy.target.query('SELECT v FROM waiting')).rows).toEqual([{ v: 1000 }]);
      await recopyTruncated(watch, tries);
      expect(tries).toMatchObject({ failing: false, ready: true });
    },
    withoutBucardo(),
  );
});

test('a backlog of other tables is taken back without the truncated one that waits, and a failure is not repeated at once', async () => {
  const overrides = withoutBucardo();
  const { sync } = copy.migration.config;
  await copy.within(
    'supervise',
    async (context) => {
      const ends = { source: await context.connect('source'), target: await context.connect('target') };
      const watch = { context, ends, relations: await syncedRelations(context, ends) };
      const memory = new SupervisorMemory();
      await copy.target.query('ALTER TABLE waiting ADD CONSTRAINT small CHECK (v < 100) NOT VALID');
      await copy.source.query('TRUNCATE waiting; INSERT INTO waiting VALUES (3, 1000)');
      await expect(recopyTruncated(watch, memory.recopies)).rejects.toThrow('"public"."waiting" cannot be applied');
      await copy.source.query('INSERT INTO item SELECT i, i FROM generate_series(1, 20) AS i');

      const takeBack = new TakeBack(watch, memory);
      // Bucardo does not start: that, and not the truncated table, is what ends it.
      await expect(takeBack.run()).rejects.toThrow(/^(?!.*waiting)/);
      expect((await copy.target.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 20 }]);

      await copy.source.query('UPDATE item SET v = -v');
      await takeBack.run();
      expect((await copy.target.query('SELECT count(*)::int AS n FROM item WHERE v < 0')).rows).toEqual([{ n: 0 }]);
      await until(() => memory.takeBacks.ready);
      memory.recopies.failed(60_000);
      await expect(takeBack.run()).rejects.toThrow(/^(?!.*waiting)/);
      expect((await copy.target.query('SELECT count(*)::int AS n FROM item WHERE v < 0')).rows).toEqual([{ n: 20 }]);

      await copy.target.query('ALTER TABLE waiting DROP CONSTRAINT small');
      await expect(recopyTruncated(watch, new RecopyTries())).rejects.toThrow();
      expect((await copy.target.query('SELECT v FROM waiting')).rows).toEqual([{ v: 1000 }]);
    },
    { ...overrides, sync: { ...sync, takeBackKeys: 10, handoverKeys: 1 } },
  );
});

test('a table that is being copied meanwhile keeps its lease, and is not waited for', async () => {
  for (const client of [copy.source, copy.target]) await client.query('CREATE TABLE late (id int PRIMARY KEY)');
  await copy.within(
    'supervise',
    async (context) => {
      const ends = { source: await context.connect('source'), target: await context.connect('target') };
      const late = (await readRelations(ends.source, context.config)).filter(({ name }) => name === 'late');
      await prepareLeases(ends.target, late);
      const lease = await Lease.take(ends.target, 'copy', late);
      const worker = await copy.migration.admin('target');
      await worker.query('BEGIN');
      for (const relation of late) await lease.hold(worker, relation, 'others');
      await copy.source.query('UPDATE waiting SET v = 2');

      await ends.target.query(`SET lock_timeout = '1s'`);
      const relations = await syncedRelations(context, ends);
      await expect(catchUpInstead({ context, ends, relations }, new RecopyTries(), 'a test', 'all')).rejects.toThrow(
        /^(?!.*lock timeout)/,
      );

      expect((await copy.target.query('SELECT v FROM waiting')).rows).toEqual([{ v: 2 }]);
      const { rows } = await copy.target.query('SELECT relation_name AS name, applier FROM ibex.relation ORDER BY 1');
      expect(rows).toEqual([
        { name: 'item', applier: 'bucardo' },
        { name: 'late', applier: 'copy' },
        { name: 'waiting', applier: 'bucardo' },
      ]);
      await lease.hold(worker, late[0] as Relation, 'others');
      await worker.query('ROLLBACK');
      for (const client of [copy.source, copy.target]) await client.query('DROP TABLE late');
    },
    withoutBucardo(),
  );
});

test('catch-up that takes long, inside the supervisor, keeps it from no look: a key that changes meanwhile costs no write', async () => {
  await copy.within(
    'supervise',
    async (context) => {
      const ends = { source: await context.connect('source'), target: await context.connect('target') };
      await keepCatalog(context, ends.source);
      const relations = await syncedRelations(context, ends);
      await copy.source.query('UPDATE waiting SET v = 1');
      const blocker = await copy.migration.admin('target');
      await blocker.query('BEGIN; LOCK TABLE waiting');
      let ended = false;
      const working = catchUpInstead({ context, ends, relations }, new RecopyTries(), 'a test', 'all').finally(
        () => (ended = true),
      );
      working.catch(() => undefined);

      await copy.source.query('ALTER TABLE item ALTER id TYPE bigint');
      const large = 3_000_000_000;
      await until(() =>
        copy.source.query('INSERT INTO item VALUES ($1, 0)', [large]).then(
          () => true,
          () => false,
        ),
      );
      await until(async () => (await standingProblems(context.state)).some((line) => line.includes('"public"."item"')));
      await until(() => context.state.fact('source.seen'));
      expect(ended).toBe(false);

      await blocker.query('ROLLBACK');
      await expect(working).rejects.toThrow();
      expect((await copy.target.query('SELECT v FROM waiting')).rows).toEqual([{ v: 1 }]);
    },
    withoutBucardo(),
  );
});
