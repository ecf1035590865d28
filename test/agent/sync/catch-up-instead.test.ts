import type { AgentConfig } from '../../../assets/agent/config';
import { copyAll } from '../../../assets/agent/copy';
import { catchUpInstead } from '../../../assets/agent/sync/catch-up-instead';
import { keepCatalog } from '../../../assets/agent/sync/catalog-watch';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { syncedRelations } from '../../../assets/agent/sync/synced';
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
      const working = catchUpInstead({ context, ends, relations }, 'a test', 'all').finally(() => (ended = true));
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
