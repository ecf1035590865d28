import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { CAPTURED_FACT, type Captured } from '../../../assets/agent/capture/check';
import type { Context } from '../../../assets/agent/context';
import { armWayBack } from '../../../assets/agent/cutover/way-back';
import { fenceFunction } from '../../../assets/agent/fence/objects';
import { closeTarget, openTarget } from '../../../assets/agent/fence/target';
import { finalize } from '../../../assets/agent/finalize';
import { rollback } from '../../../assets/agent/rollback';
import { prepareLeases } from '../../../assets/agent/lease';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { readIdentity, watchIdentities, type Identity } from '../../../assets/agent/sync/identity';
import { feedBack } from '../../../assets/agent/sync/feed-back';
import { SupervisorMemory } from '../../../assets/agent/sync/memory';
import { wantedDirection } from '../../../assets/agent/sync/supervisor-job';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';

let migration: TestMigration;
let context: Context;
let back: Context;
/** Sessions of the application on the old end and on the one that serves. */
let source: Client;
let target: Client;

beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  target = await migration.admin('target');
  for (const client of [source, target])
    await client.query(`
      CREATE TABLE public.item (id int PRIMARY KEY, v int);
      INSERT INTO public.item VALUES (1, 1);
      CREATE TABLE public.keyed (id int PRIMARY KEY);
      CREATE UNLOGGED TABLE public.cached (id int PRIMARY KEY);
      INSERT INTO public.cached VALUES (1)`);
  for (const name of ['item', 'keyed', 'cached']) await target.query(`ALTER TABLE public.${name} OWNER TO master`);
  context = await migration.context('cutover');
  back = context.turned();
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  await prepareLeases(ends.target, await readRelations(ends.source, migration.config));
  await closeTarget(context, ends.target);
  // As the sync does.
  await watchIdentities(context, ends);
  await armWayBack(context, ends);
  // As a cutover leaves both ends.
  await closeTarget(back, ends.source);
  await openTarget(ends.target);
  await source.query(fenceFunction({ kind: 'closed' }));
});
afterAll(() => migration.stop());

const wantedFile = (): string => join(migration.config.host.stateDirectory, 'sync.wanted');

/** Feeds the old end as the supervisor does, until the work is done or nobody wants it any more. */
async function feeding(work: () => Promise<void>, config: AgentConfig = migration.config): Promise<void> {
  writeFileSync(wantedFile(), 'back');
  const memory = new SupervisorMemory();
  const running = (async () => {
    while (wantedDirection(config) === 'back') await feedBack(config, memory).catch(() => undefined);
  })();
  try {
    await work();
  } finally {
    rmSync(wantedFile(), { force: true });
    await running;
  }
}

/** The old end does not answer. */
const away = (): AgentConfig => ({ ...migration.config, source: { ...migration.config.source, port: 1 } });

const rows = async (client: Client): Promise<string> =>
  JSON.stringify((await client.query('SELECT * FROM public.item ORDER BY id')).rows);
const areAlike = async (): Promise<boolean> => (await rows(source)) === (await rows(target));
const problems = (): Promise<string[]> => standingProblems(back.state);

it('an unlogged table that the old end has lost in a crash before it was ever fed is brought back', async () => {
  await migration.source.crash();
  source = await migration.admin('source');
  const cached = async (): Promise<number | null> => (await source.query('SELECT FROM public.cached')).rowCount;
  expect(await cached()).toBe(0);
  await feeding(async () => {
    await until(async () => (await cached()) === 1, { seconds: 20 });
  });
  expect(await problems()).toEqual([]);
});

describe('a table that is altered on the end that serves', () => {
  it('closes the way back until the old end has it too, and is copied anew then: each end filled the column by itself', () =>
    feeding(async () => {
      await target.query('INSERT INTO public.item VALUES (2, 2)');
      await until(areAlike);
      await target.query('ALTER TABLE public.item ADD made timestamptz DEFAULT clock_timestamp()');
      await until(async () => (await problems()).join().includes('column "made"'));
      await target.query('UPDATE public.item SET v = 3 WHERE id = 2');
      await source.query('ALTER TABLE public.item ADD made timestamptz DEFAULT clock_timestamp()');
      await until(async () => (await problems()).length === 0);
      await until(areAlike, { seconds: 20 });
    }));

  it('and rewritten there alone, with the columns as they were, is copied anew', () =>
    feeding(async () => {
      await target.query('ALTER TABLE public.item ALTER v TYPE int USING v + 100');
      await until(areAlike, { seconds: 20 });
      expect(await problems()).toEqual([]);
    }));

  it('and has a column dropped and added again there, without the values of before, is copied anew', () =>
    feeding(async () => {
      await target.query('ALTER TABLE public.item DROP made; ALTER TABLE public.item ADD made timestamptz');
      expect(await areAlike()).toBe(false);
      await until(areAlike, { seconds: 20 });
      await until(async () => (await problems()).length === 0);
    }));
});

it('a key that is altered on the end that serves costs it no writes for as long as changes of another table take', () =>
  feeding(async () => {
    await target.query('INSERT INTO public.keyed VALUES (1)');
    const holder = await migration.admin('source');
    await holder.query('BEGIN; SELECT FROM public.item FOR UPDATE');
    try {
      await target.query('UPDATE public.item SET v = v + 1');
      const stands = `SELECT FROM pg_stat_activity WHERE application_name = 'ibex catch-up' AND wait_event_type = 'Lock'`;
      await until(async () => (await source.query(stands)).rowCount === 1);
      const alter = 'ALTER TABLE public.keyed ALTER id TYPE uuid USING md5(id::text)::uuid';
      await target.query(alter);
      const write = (): Promise<unknown> => target.query(`INSERT INTO public.keyed VALUES (md5('new')::uuid)`);
      await expect(write()).rejects.toThrow();
      const isTaken = async (): Promise<boolean> =>
        write().then(
          () => true,
          () => false,
        );
      await until(isTaken, { seconds: 20 });
      expect((await source.query(stands)).rowCount).toBe(1);
      await source.query(alter);
    } finally {
      await holder.end();
    }
    await until(areAlike);
    const fed = 'SELECT FROM public.keyed';
    await until(async () => (await source.query(fed)).rowCount === 2, { seconds: 20 });
    await until(async () => (await problems()).length === 0);
  }));

it('the old end, restored to an earlier time, may have lost what it was fed: the way back is closed until all was compared again', () =>
  feeding(async () => {
    const seen = await until(() => back.state.fact<Identity | null>('target.seen'));
    await back.state.setFact('target.seen', { ...seen, wal: '9000000000000000' });
    const told = await until(async () =>
      (await problems()).find((line) => line.includes('it has lost a part of its log')),
    );
    expect(told).toMatch(/^the source may have lost what it was given: .*; all is compared again by itself/);
    await until(async () => (await problems()).length === 0);
    expect(await areAlike()).toBe(true);
  }));

it('while the old end is away, the one that serves is looked at as ever: a key that is altered costs it no writes', async () => {
  const captured = await back.state.fact<Captured>(CAPTURED_FACT);
  const seen = await readIdentity(target);
  const alter = 'ALTER TABLE public.keyed ALTER id TYPE text';
  await back.state.setFact(CAPTURED_FACT, { ...captured, '"public"."lost"': '1:1 1:1' });
  await back.state.setFact('source.seen', { ...seen, wal: '9000000000000000' });
  await target.query(alter);
  const write = (): Promise<unknown> => target.query(`INSERT INTO public.keyed VALUES ('written meanwhile')`);
  await expect(write()).rejects.toThrow();
  await feeding(async () => {
    const isTaken = async (): Promise<boolean> =>
      write().then(
        () => true,
        () => false,
      );
    await until(isTaken, { seconds: 20 });
    for (const told of ['"public"."lost" was captured and is gone now', 'it has lost a part of its log']) {
      await until(async () => (await problems()).join().includes(told), { seconds: 20 });
    }
  }, away());
  await back.state.setFact(CAPTURED_FACT, captured);
  await source.query(alter);
  await feeding(async () => {
    const fed = `SELECT FROM public.keyed WHERE id = 'written meanwhile'`;
    await until(async () => (await source.query(fed)).rowCount === 1);
    await until(async () => (await problems()).length === 0);
  });
});

it('the hard limit holds on the end that serves, also while the old one is away: capture is taken off, and a rollback refuses', async () => {
  await target.query('INSERT INTO public.item SELECT i FROM generate_series(1000, 1100) i');
  const config = {
    ...away(),
    brake: { ...migration.config.brake, queueMegabytes: 0.001, pauseSessions: 1 },
  };
  await feeding(async () => {
    await until(() => wantedDirection(config) === undefined);
  }, config);
  const { rowCount } = await target.query(
    `SELECT FROM pg_trigger WHERE tgname LIKE 'bucardo%' UNION ALL SELECT FROM pg_namespace WHERE nspname = 'bucardo'`,
  );
  expect(rowCount).toBe(0);
  const closed = expect.stringMatching(
    /^the way back is closed for good: capture was taken off the target because .* MB of the target's disk, .*; start finalize$/,
  );
  expect(await problems()).toEqual([closed]);
  expect(await standingProblems(context.state)).toEqual([]);
  await expect(rollback.run(context)).rejects.toThrow('the way back is closed for good');
  await finalize.run(context);
  expect(await problems()).toEqual([]);
});
