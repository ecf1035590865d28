import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../../assets/agent/capture';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { Lease } from '../../../assets/agent/lease';
import type { Ends } from '../../../assets/agent/sync/applier';
import { watchCapture } from '../../../assets/agent/sync/capture-watch';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { asPlan, planSyncs } from '../../../assets/agent/sync/plan';
import { syncedRelations } from '../../../assets/agent/sync/synced';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy?.migration.stop());
beforeEach(async () => {
  await copy.prepare(`
    CREATE TABLE item (id int PRIMARY KEY, v int);
    CREATE TABLE other (id int PRIMARY KEY, v int);
    INSERT INTO item SELECT i, i FROM generate_series(1, 3) i`);
  await copy.within('copy', (context) => copyAll(context, COPY_PROBES));
});

async function withEnds(
  work: (context: Context, ends: Ends) => Promise<void>,
  overrides: Partial<AgentConfig> = {},
): Promise<void> {
  await copy.within(
    'supervise',
    async (context) =>
      work(context, { source: await context.connect('source'), target: await context.connect('target') }),
    overrides,
  );
}

const rows = async (end: 'source' | 'target'): Promise<unknown[]> =>
  (await copy[end].query('SELECT id, v FROM item ORDER BY id')).rows as unknown[];

describe('a table that is renamed away, with another made under its name', () => {
  const swap = 'BEGIN; ALTER TABLE item RENAME TO item_old; CREATE TABLE item (LIKE item_old INCLUDING ALL); COMMIT';
  const undo = 'DROP TABLE item; ALTER TABLE item_old RENAME TO item';

  test('is not applied, and is copied anew when it is back, since its rows may have been taken for deleted', async () => {
    await withEnds(async (context, ends) => {
      const before = await syncedRelations(context, ends);
      const dirty = await DirtyKeys.open(context);
      const begun = await dirty.begin(ends.source, before);
      for (const [relation, at] of begun) await dirty.end(relation, at, 3);
      expect((await dirty.count(before)).unverified).toEqual([]);
      await copy.source.query('UPDATE item SET v = 10 WHERE id = 1');
      await copy.source.query(swap);
      await copy.source.query('UPDATE item_old SET v = 20 WHERE id = 2');

      const during = await syncedRelations(context, ends);
      expect(during.map(({ name }) => name)).toEqual(['other']);
      // One who has read the tables before works by name, as Bucardo does.
      const late = new CatchUp(context, before, await Lease.take(ends.target, 'catch-up'));
      await late.until(ends.source, 0);
      await late.close();
      expect(await rows('target')).toEqual([{ id: 3, v: 3 }]);

      await expect(watchCapture({ context, ends, relations: before })).rejects.toThrow(
        '"public"."item" is another table now, and is applied no more',
      );
      await watchCapture({ context, ends, relations: during });
      expect((await copy.source.query('SELECT relation_name AS name FROM bucardo.ibex_truncated')).rows).toEqual([
        { name: 'item' },
      ]);
      expect((await dirty.count(before)).unverified).toEqual(['"public"."item"']);
      expect(await standingProblems(context.state)).toEqual(['"public"."item" has no trigger "bucardo_delta"']);

      await copy.source.query(undo);
      await expect(watchCapture({ context, ends, relations: during })).rejects.toThrow(
        '"public"."item" is to be applied again',
      );
      const after = await syncedRelations(context, ends);
      await watchCapture({ context, ends, relations: after });
      const catchUp = new CatchUp(context, after, await Lease.take(ends.target, 'catch-up'));
      await catchUp.until(ends.source, 0);
      await catchUp.close();
      expect(await rows('target')).toEqual(await rows('source'));
      expect((await dirty.count(before)).unverified).toEqual(['"public"."item"']);
      await dirty.close();
    });
  });
});

test('a problem of capture that stands for days is written to the log once, and again when it has changed', async () => {
  const file = join(copy.migration.config.host.stateDirectory, 'log', 'supervise.jsonl');
  const lines = (): number => readFileSync(file, 'utf8').split('capture is not complete').length - 1;
  await withEnds(async (context, ends) => {
    for (const [table, told] of [
      ['item', 1],
      ['other', 2],
    ] as const) {
      await copy.source.query(`ALTER TABLE ${table} DISABLE TRIGGER bucardo_delta`);
      for (let look = 0; look < 3; look += 1) await watchCapture({ context, ends });
      expect(lines()).toBe(told);
      expect(await standingProblems(context.state)).toHaveLength(told);
    }
  });
});

describe('the syncs that Bucardo is given again', () => {
  const groups = (): Partial<AgentConfig> => ({
    sync: { ...copy.migration.config.sync, groups: [['public.item']], syncs: 1 },
  });

  test('are without a table that was made anew on the source, which would keep all others from being applied', async () => {
    await withEnds(async (context, ends) => {
      await copy.source.query('DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, v int)');
      const plan = asPlan(await planSyncs(context, ends, await syncedRelations(context, ends)));
      expect(plan).toEqual({ ibex: ['"public"."other"'] });
    });
  });

  test('are without a group that has lost its last table, which only the first start refuses', async () => {
    await copy.within('capture', (context) => capture.run(context), groups());
    await withEnds(async (context, ends) => {
      await copy.source.query('ALTER TABLE item RENAME TO item_old');
      const planned = async (): Promise<unknown> =>
        asPlan(await planSyncs(context, ends, await syncedRelations(context, ends)));
      await context.state.setFact('sync.plan', {});
      await expect(planned()).rejects.toThrow('sync.groups: no relation matches public.item; correct the pattern');
      await context.state.setFact('sync.plan', { ibex: ['"public"."item"'], ibex2: ['"public"."other"'] });
      expect(await planned()).toEqual({ ibex: ['"public"."other"'] });
    }, groups());
  });
});
