import { execFileSync } from 'node:child_process';
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { capture } from '../../../assets/agent/capture';
import type { Context } from '../../../assets/agent/context';
import { metrics } from '../../../assets/agent/metrics';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { Ends } from '../../../assets/agent/sync/applier';
import { acceptAltered, keepCatalog, watchCatalog } from '../../../assets/agent/sync/catalog-watch';
import { standingProblems } from '../../../assets/agent/sync/facts';
import {
  clearIdentity,
  jumpBetween,
  jumpOf,
  readIdentity,
  watchIdentities,
  watchIdentity,
  type Identities,
} from '../../../assets/agent/sync/identity';
import { holdSupervisor, stopSupervisor, wantedDirection } from '../../../assets/agent/sync/supervisor-job';
import { startMigration, type TestMigration } from '../../helpers/migration';

let migration: TestMigration;
let source: Client;
let context: Context;

beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query(`
    CREATE TABLE public.item (id int PRIMARY KEY, v int, w text);
    CREATE TABLE public.typed (id int PRIMARY KEY, w text);
    CREATE TABLE public.filled (id serial PRIMARY KEY, at timestamptz DEFAULT now());
    CREATE FUNCTION public.check_filled() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER check_filled BEFORE INSERT ON public.filled FOR EACH ROW EXECUTE PROCEDURE public.check_filled();
    CREATE TABLE public.parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE public.leaf PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
    INSERT INTO public.item SELECT i, i FROM generate_series(1, 100) i`);
  context = await migration.context('capture');
  await capture.run(context);
});
afterAll(() => migration.stop());

describe('the watch of the source catalogs', () => {
  const problems = (): Promise<string[]> => watchCatalog(context, source);

  test('is silent while nothing changes, and about what loses nothing', async () => {
    expect(await problems()).toEqual([]);
    await source.query('ALTER TABLE public.item ALTER w SET STATISTICS 200');
    expect(await problems()).toEqual([]);
    await source.query(`SELECT nextval('public.filled_id_seq'), setval('public.filled_id_seq', 500)`);
    expect(await problems()).toEqual([]);
    await source.query('VACUUM FULL public.item');
    expect(await problems()).toEqual([]);
    await source.query('CREATE UNIQUE INDEX item_new ON public.item (id)');
    await source.query(
      'ALTER TABLE public.item DROP CONSTRAINT item_pkey, ADD CONSTRAINT item_pkey PRIMARY KEY USING INDEX item_new',
    );
    expect(await problems()).toEqual([]);
  });

  test.each([
    [
      'a new column',
      'ALTER TABLE public.item ADD z int',
      'ALTER TABLE public.item DROP z',
      '"public"."item" has other columns',
    ],
    [
      'another type',
      'ALTER TABLE public.typed ALTER w TYPE varchar(9)',
      undefined,
      '"public"."typed" has other columns',
    ],
    [
      'another default',
      'ALTER TABLE public.filled ALTER at SET DEFAULT clock_timestamp()',
      'ALTER TABLE public.filled ALTER at SET DEFAULT now()',
      '"public"."filled" has other defaults or identities than when it was captured; undo it, or make the target alike',
    ],
    [
      'a default that is gone',
      'ALTER TABLE public.filled ALTER id DROP DEFAULT',
      `ALTER TABLE public.filled ALTER id SET DEFAULT nextval('public.filled_id_seq')`,
      '"public"."filled" has other defaults',
    ],
    [
      'an identity',
      'ALTER TABLE public.item ALTER v SET NOT NULL, ALTER v ADD GENERATED ALWAYS AS IDENTITY',
      'ALTER TABLE public.item ALTER v DROP IDENTITY, ALTER v DROP NOT NULL',
      '"public"."item" has other columns',
    ],
    [
      'a key that is gone',
      'ALTER TABLE public.item DROP CONSTRAINT item_pkey',
      undefined,
      '"public"."item" has another primary key',
    ],
    [
      'a detached partition',
      'ALTER TABLE public.parted DETACH PARTITION public.leaf',
      'ALTER TABLE public.parted ATTACH PARTITION public.leaf FOR VALUES FROM (0) TO (10)',
      '"public"."leaf" was attached to, or detached from, another table; undo it, or make the target alike and start add',
    ],
    [
      'a new table',
      'CREATE TABLE public.late (id int PRIMARY KEY)',
      'DROP TABLE public.late',
      '"public"."late" is new and not captured',
    ],
    [
      'a role past the triggers',
      `CREATE ROLE past; ALTER ROLE past SET session_replication_role = replica`,
      'DROP ROLE past',
      'past has session_replication_role=replica',
    ],
    [
      'a subscription, which writes past the triggers',
      `CREATE SUBSCRIPTION feed CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
      'DROP SUBSCRIPTION feed',
      'subscription "feed" writes the source in replica role, which no trigger sees; drop it',
    ],
    [
      'a publication of everything, which would refuse deletes from our queues',
      'CREATE PUBLICATION everything FOR ALL TABLES',
      'DROP PUBLICATION everything',
      'publication "everything" is FOR ALL TABLES',
    ],
    [
      'a trigger of ours that is disabled',
      'ALTER TABLE public.filled DISABLE TRIGGER bucardo_delta',
      'ALTER TABLE public.filled ENABLE TRIGGER bucardo_delta',
      'trigger "bucardo_delta" of public.filled is disabled, so that changes are not captured',
    ],
    [
      'a trigger of ours that only replicas fire',
      'ALTER TABLE public.filled ENABLE REPLICA TRIGGER bucardo_delta',
      'ALTER TABLE public.filled ENABLE TRIGGER bucardo_delta',
      'trigger "bucardo_delta" of public.filled is disabled, so that changes are not captured',
    ],
    [
      "an application's trigger that appliers would fire",
      'ALTER TABLE public.filled ENABLE ALWAYS TRIGGER check_filled',
      'ALTER TABLE public.filled ENABLE TRIGGER check_filled',
      'trigger "check_filled" of public.filled is ENABLE ALWAYS or REPLICA',
    ],
    [
      "an application's trigger that only appliers would fire",
      'ALTER TABLE public.filled ENABLE REPLICA TRIGGER check_filled',
      'ALTER TABLE public.filled ENABLE TRIGGER check_filled',
      'trigger "check_filled" of public.filled is ENABLE ALWAYS or REPLICA',
    ],
  ])('tells of %s by name, as a problem that stands until it is gone', async (_, change, undo, message) => {
    const before = await problems();
    await source.query(change);
    const found = await problems();
    expect(found.filter((line) => !before.includes(line))).toEqual([expect.stringContaining(message)]);
    expect(await standingProblems(context.state)).toEqual(found);
    if (undo === undefined) return;
    await source.query(undo);
    expect(await problems()).toEqual(before);
  });

  test('takes the defaults and numbers of columns that an older Ibex has not kept for what they are now', async () => {
    const before = await problems();
    const kept = await context.state.fact<Record<string, object>>('catalog.baseline');
    const leaf = { ...kept?.['"public"."leaf"'], defaults: undefined, numbers: undefined, inherits: undefined };
    await context.state.setFact('catalog.baseline', { ...kept, '"public"."leaf"': leaf });
    await source.query('ALTER TABLE public.leaf ALTER id SET DEFAULT 3');
    expect(await problems()).toEqual(before);
    await source.query('ALTER TABLE public.leaf ALTER id SET DEFAULT 4');
    expect(await problems()).toContainEqual(expect.stringContaining('"public"."leaf" has other defaults'));
  });

  test('tells of a column that was dropped and added again, although the table looks as before', async () => {
    const before = await problems();
    const kept = await context.state.fact<Record<string, object>>('catalog.baseline');
    await source.query('CREATE TABLE public.again (id int PRIMARY KEY, token text)');
    await keepCatalog(context, source);
    expect(await problems()).toEqual(before);
    await source.query('ALTER TABLE public.again DROP token; ALTER TABLE public.again ADD token text');
    expect((await problems()).filter((line) => !before.includes(line))).toEqual([
      expect.stringContaining('"public"."again" has a column that was dropped and added anew'),
    ]);
    await source.query('DROP TABLE public.again');
    await context.state.setFact('catalog.baseline', kept);
  });

  test('tells of a rewrite by ALTER TABLE, whose values no trigger saw', async () => {
    await source.query('DROP TABLE public.item CASCADE');
    await source.query('CREATE TABLE public.item2 (id int PRIMARY KEY, v int)');
    await context.state.setFact('catalog.baseline', {});
    await keepCatalog(context, source);
    expect(await problems()).toEqual([]);
    await source.query('ALTER TABLE public.item2 ALTER v TYPE int USING v + 1');
    expect(await problems()).toEqual([expect.stringContaining('"public"."item2" was rewritten by ALTER TABLE')]);
    await source.query('DROP TABLE public.item2');
    expect(await problems()).toEqual([expect.stringContaining('"public"."item2" is gone from the source')]);
  });
});

describe('tables that were altered', () => {
  let target: Client;
  let ends: Ends;
  beforeAll(async () => {
    target = await migration.admin('target');
    for (const client of [source, target]) {
      await client.query(
        'CREATE TABLE public.wide (id int PRIMARY KEY, v int); CREATE TABLE public.anew (LIKE public.wide)',
      );
      await client.query('ALTER TABLE public.anew ADD PRIMARY KEY (id)');
    }
    await source.query('INSERT INTO public.wide VALUES (1, 1); INSERT INTO public.anew VALUES (1, 1)');
    await context.state.setFact('catalog.baseline', {});
    await keepCatalog(context, source);
    ends = { source: await context.connect('source'), target: await context.connect('target') };
  });

  const accept = async (first: () => Promise<unknown>): Promise<string[]> =>
    acceptAltered(context, ends, await readRelations(ends.source, migration.config), first);
  const toBeCopied = async (): Promise<unknown[]> =>
    (await source.query('SELECT relation_name AS name FROM bucardo.ibex_truncated')).rows as unknown[];

  test('are refused by name while the ends differ, and nothing is kept', async () => {
    await source.query(`ALTER TABLE public.wide ADD w text; ALTER TABLE public.anew ALTER v TYPE bigint USING v + 1`);
    let began = 0;
    await expect(accept(async () => (began += 1))).rejects.toThrow(
      'column "w" of "public"."wide" is text on the source and absent on the target',
    );
    expect(began).toBe(0);
    expect(await watchCatalog(context, source)).toHaveLength(2);
  });

  test('are taken for good when they are alike; only one that was rewritten is to be copied anew', async () => {
    await target.query(`ALTER TABLE public.wide ADD w text; ALTER TABLE public.anew ALTER v TYPE bigint`);
    let began = 0;
    expect((await accept(async () => (began += 1))).sort()).toEqual(['"public"."anew"', '"public"."wide"']);
    expect(began).toBe(1);
    expect(await toBeCopied()).toEqual([{ name: 'anew' }]);
    expect(await watchCatalog(context, source)).toEqual([]);
    expect(await accept(async () => (began += 1))).toEqual([]);
    expect(began).toBe(1);
    await source.query('DELETE FROM bucardo.ibex_truncated');
  });

  test('with a column that was dropped and added again are to be copied anew, since its values are gone', async () => {
    await source.query('ALTER TABLE public.anew DROP v; ALTER TABLE public.anew ADD v bigint');
    expect(await accept(() => Promise.resolve())).toEqual(['"public"."anew"']);
    expect(await toBeCopied()).toEqual([{ name: 'anew' }]);
    expect(await watchCatalog(context, source)).toEqual([]);
    await source.query('DELETE FROM bucardo.ibex_truncated; UPDATE public.anew SET v = 2');
  });

  test('with a new column are to be copied anew only where each end has filled it for itself', async () => {
    for (const client of [source, target]) {
      await client.query(`ALTER TABLE public.wide ADD n int, ADD five int DEFAULT 5`);
    }
    expect(await accept(() => Promise.resolve())).toEqual(['"public"."wide"']);
    expect(await toBeCopied()).toEqual([]);
    for (const client of [source, target])
      await client.query('ALTER TABLE public.wide ADD at timestamptz DEFAULT now()');
    expect(await accept(() => Promise.resolve())).toEqual(['"public"."wide"']);
    expect(await toBeCopied()).toEqual([{ name: 'wide' }]);
    await source.query('DELETE FROM bucardo.ibex_truncated');
  });

  test('with another default are refused until the target has one, too, and nothing is compared anew', async () => {
    await source.query('ALTER TABLE public.wide ALTER v SET DEFAULT 7');
    await expect(accept(() => Promise.resolve())).rejects.toThrow(
      'default of column public.wide.v is missing on the target; make both alike, then start add again',
    );
    await target.query('ALTER TABLE public.wide ALTER v SET DEFAULT 7');
    expect(await accept(() => Promise.resolve())).toEqual(['"public"."wide"']);
    expect(await toBeCopied()).toEqual([]);
    expect(await watchCatalog(context, source)).toEqual([]);
  });

  test('in their key, whose index is another then, are taken when they are alike, but not with other columns in it', async () => {
    await source.query('ALTER TABLE public.wide ALTER id TYPE bigint');
    expect(await watchCatalog(context, source)).toEqual([
      'table "public"."wide" has other columns or types than when it was captured; undo it, or make the target alike and start add',
    ]);
    await target.query('ALTER TABLE public.wide ALTER id TYPE bigint');
    expect(await accept(() => Promise.resolve())).toEqual(['"public"."wide"']);
    expect(await toBeCopied()).toEqual([{ name: 'wide' }]);
    expect(await watchCatalog(context, source)).toEqual([]);
    await source.query('DELETE FROM bucardo.ibex_truncated');

    await source.query('ALTER TABLE public.anew DROP CONSTRAINT anew_pkey, ADD PRIMARY KEY (id, v)');
    expect(await accept(() => Promise.resolve())).toEqual([]);
    expect(await watchCatalog(context, source)).toEqual([
      expect.stringMatching(/^table "public"."anew" has other columns .* or run cleanup and migrate again$/),
    ]);
  });
});

describe('the watch of the ends themselves', () => {
  const look = (): Promise<Identities> => withEnds((ends) => watchIdentities(context, ends));
  const clear = (atStart: Identities): Promise<void> => withEnds((ends) => clearIdentity(context, ends, atStart));
  const withEnds = <T>(work: (ends: Ends) => Promise<T>): Promise<T> =>
    context.with('source', (here) => context.with('target', (there) => work({ source: here, target: there })));

  const seen = {
    system: '7',
    timeline: 1,
    started: '2026-01-01 00:00:00+00',
    processes: [
      { pid: 7, since: 70.5 },
      { pid: 8, since: 80.5 },
    ],
    txid: '500',
    wal: '9000',
    isStandby: false,
  };

  test.each([
    ['nothing but progress', { txid: '900', wal: '9500' }, undefined],
    ['another system identifier', { system: '8' }, 'another server answers'],
    ['another timeline', { timeline: 2, txid: '501' }, 'it failed over or was restored (timeline 1, now 2)'],
    ['an older transaction id', { txid: '499' }, 'it was restored (transaction id 500, now 499)'],
    ['an older log', { wal: '8999' }, 'it has lost a part of its log'],
    ['a start in between', { started: '2026-01-02 00:00:00+00' }, 'it was started anew at 2026-01-02'],
    ['the same processes', { processes: [{ pid: 7, since: 70.5 }] }, undefined],
    [
      'one that stayed',
      {
        processes: [
          { pid: 9, since: null },
          { pid: 8, since: 80.5 },
        ],
      },
      undefined,
    ],
    ['no process listed yet', { processes: [] }, undefined],
    ['processes whose age is hidden', { processes: [{ pid: 7, since: null }] }, undefined],
    ['others in their place', { processes: [{ pid: 7, since: 90.5 }] }, 'it recovered from a crash'],
    ['a standby', { isStandby: true, wal: null }, 'it is a standby now'],
    ['what the provider hides', { system: null, timeline: null, wal: null }, undefined],
  ])('%s', (_, change, words) => {
    const jump = jumpBetween(seen, { ...seen, ...change });
    if (words === undefined) expect(jump).toBeUndefined();
    else expect(jump).toContain(words);
  });

  test.each([
    ['numbers given once more after a crash of the target, whose log did not go back', {}, '1', undefined],
    ['some of them, where the provider hides the log', { wal: null }, '19000', undefined],
    ['many of them, where it hides the log', { wal: null }, '500', 'it was restored (transaction id 20000, now 500)'],
  ])('%s', (_, hidden, txid, words) => {
    const before = { ...seen, ...hidden, txid: '20000' };
    const jump = jumpOf('target', before, { ...before, txid, started: '2026-01-02 00:00:00+00' });
    if (words === undefined) expect(jump).toBeUndefined();
    else expect(jump).toContain(words);
  });

  test('reads everything of a server that hides nothing', async () => {
    const { system, timeline, wal, isStandby } = await readIdentity(source);
    expect([/^\d{15,}$/.test(system ?? ''), timeline, Number(wal) > 0, isStandby]).toEqual([true, 1, true, false]);
  });

  test('a crash stands as a problem until a verify that began after it has passed', async () => {
    await context.state.setFact('sync.catalog', null);
    const beforeCrash = await look();
    expect(await standingProblems(context.state)).toEqual([]);
    await migration.source.kill();
    await migration.source.start();
    source = await migration.admin('source');
    await look();
    const problem = expect.stringMatching(/may have lost what the target has: it was started anew .*; start verify/);
    expect(await standingProblems(context.state)).toEqual([problem]);
    const atStart = await look();
    expect(await standingProblems(context.state)).toEqual([problem]);
    // A verify that ran over the crash proves nothing of what went before.
    await clear(beforeCrash);
    expect(await standingProblems(context.state)).toEqual([problem]);
    await clear(atStart);
    expect(await standingProblems(context.state)).toEqual([]);
  });

  test('so does a crash of one process, which the server outlives, whatever the login may see', async () => {
    const plain = async (): Promise<Client> => {
      const client = await migration.admin('source');
      await client.query('SET ROLE plain');
      return client;
    };
    await source.query('CREATE ROLE plain');
    const before = await look();
    const hidden = await readIdentity(await plain());
    expect(hidden.processes).toContainEqual({ pid: expect.any(Number), since: null });
    expect(jumpBetween(before.source, hidden)).toBeUndefined();

    await migration.source.crash();
    source = await migration.admin('source');
    expect(jumpBetween(hidden, await readIdentity(await plain()))).toContain('it recovered from a crash');
    await source.query('DROP ROLE plain');
    const atStart = await look();
    const problem = expect.stringContaining('may have lost what the target has: it recovered from a crash');
    expect(await standingProblems(context.state)).toEqual([problem]);
    await clear(atStart);
    expect(await standingProblems(context.state)).toEqual([]);
  });

  test('so does a target that was put back to an earlier time, whose log went back', async () => {
    const { dataDirectory } = migration.target;
    const copyFiles = (from: string, to: string): void => {
      execFileSync('rm', ['-rf', to]);
      execFileSync('cp', ['-a', from, to]);
    };
    await migration.target.kill();
    copyFiles(dataDirectory, `${dataDirectory}.earlier`);
    await migration.target.start();
    const target = await migration.admin('target');
    await target.query('CREATE TABLE lost AS SELECT generate_series(1, 1000) AS id');
    await target.end();
    const beforeRestore = await look();
    expect(await standingProblems(context.state)).toEqual([]);

    await migration.target.kill();
    copyFiles(`${dataDirectory}.earlier`, dataDirectory);
    await migration.target.start();
    const atStart = await look();
    const problem = expect.stringMatching(
      /^the target may have lost what it was given: it has lost a part of its log \(\d+ bytes, now \d+\); start verify with Repair/,
    );
    expect(await standingProblems(context.state)).toEqual([problem]);
    await clear(beforeRestore);
    expect(await standingProblems(context.state)).toEqual([problem]);
    await clear(atStart);
    expect(await standingProblems(context.state)).toEqual([]);
  });

  test('a target that is only started anew, or a standby of it that answers for a moment, loses nothing', async () => {
    const before = await look();
    await migration.target.kill();
    await migration.target.start();
    await look();
    await migration.target.crash();
    await look();
    const asked = jest.fn(() => ({ ...before.target, isStandby: true, txid: '3' }));
    const standby = { query: async () => ({ rows: [asked()] }) } as unknown as Client;
    await watchIdentity(context, standby, 'target');
    expect(asked).toHaveBeenCalled();
    await look();
    expect(await standingProblems(context.state)).toEqual([]);
  });
});

describe('the figures for CloudWatch', () => {
  const told = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await metrics(migration.config)).map(({ name, value }) => [name, value]));
  const wantedFile = (): string => join(migration.config.host.stateDirectory, 'sync.wanted');
  const ago = (seconds: number): number => Date.now() - seconds * 1000;
  const wanted = (direction: string, secondsAgo = 0): void => {
    writeFileSync(wantedFile(), direction);
    utimesSync(wantedFile(), ago(secondsAgo) / 1000, ago(secondsAgo) / 1000);
  };
  const mark = (key: string, strikes: number): Promise<unknown> =>
    context.state.client.query(
      `INSERT INTO ibex.dirty_key (schema_name, relation_name, key, strikes) VALUES ('public', 'item', $1, $2)`,
      [[key], strikes],
    );

  test('are none before there is a sync', async () => {
    expect(await told()).toEqual({});
  });

  test('tell problems of each direction, lag, starts and take-overs', async () => {
    const { state } = context;
    for (const name of ['sync.problem', 'sync.identity', 'sync.catalog']) await state.setFact(name, null);
    await state.setFact('sync.plan', { ibex: [] });
    expect(await told()).toEqual({
      SyncProblems: 0,
      WayBackProblems: 0,
      SyncBehind: 0,
      SyncRestarts: 0,
      SyncTakeovers: 0,
    });
    await state.setFact('sync.catalog', { problems: ['table a is new', 'table b is new'] });
    await state.setFact('sync.identity', { problems: ['the source may have lost what the target has'] });
    await state.facing('back').setFact('sync.problem', { problems: ['the way back is closed'] });
    wanted('forward', 900);
    await state.setFact('sync.lag', { at: Date.now(), lag: { ibex: 2, ibex2: 41.2 } });
    await state.count('bucardo.starts', 3);
    await state.count('bucardo.sync-restarts', 2);
    await state.count('sync.takeovers', 7);
    const figures = await told();
    expect(figures).toMatchObject({ SyncProblems: 3, WayBackProblems: 1, SyncRestarts: 4, SyncTakeovers: 7 });
    expect(figures['SyncBehind']).toBeGreaterThanOrEqual(41);
    expect(figures['SyncBehind']).toBeLessThan(60);
    await state.setFact('sync.trouble', { message: 'cannot connect', since: Date.now() - 600_000 });
    expect((await told())['SyncBehind']).toBeGreaterThanOrEqual(600);
    // What the other direction left is no lag of this one.
    wanted('back');
    expect((await told())['SyncBehind']).toBe(0);
    await state.setFact('sync.trouble', null);
  });

  test('a supervisor that has told nothing since is behind by as long', async () => {
    const { state } = context;
    wanted('forward', 3_600);
    await state.setFact('sync.lag', { at: ago(1_200), lag: { ibex: 5 } });
    expect((await told())['SyncBehind']).toBeCloseTo(1_205, -1);
    await state.facing('back').setFact('sync.lag', { at: ago(700), lag: {} });
    wanted('back', 3_600);
    expect((await told())['SyncBehind']).toBeCloseTo(700, -1);
  });

  test('one that never told counts from when the sync was asked for, whatever an earlier one has left', async () => {
    await context.state.setFact('sync.lag', { at: ago(1_200), lag: { ibex: 5_000 } });
    wanted('forward');
    expect((await told())['SyncBehind']).toBeLessThan(60);
    wanted('forward', 400);
    expect((await told())['SyncBehind']).toBeCloseTo(400, -1);
  });

  test('one that a run has stopped, to apply instead, is behind by as long, should that run have died; a sync that nobody wants is not', async () => {
    const { state } = context;
    await state.setFact('sync.lag', { at: ago(1_200), lag: { ibex: 5 } });
    await state.facing('back').setFact('sync.lag', { at: ago(700), lag: {} });
    for (const [direction, seconds] of [
      ['forward', 1_205],
      ['back', 700],
    ] as const) {
      wanted(direction, 3_600);
      await holdSupervisor(migration.config);
      expect(wantedDirection(migration.config)).toBeUndefined();
      expect((await told())['SyncBehind']).toBeCloseTo(seconds, -1);
    }
    await stopSupervisor(migration.config);
    expect((await told())['SyncBehind']).toBe(0);
  });

  test('a sync whose direction cannot be told is behind by as long: nobody applies anything', async () => {
    await context.state.setFact('sync.lag', { at: ago(1_200), lag: { ibex: 5 } });
    wanted('', 3_600);
    expect((await told())['SyncBehind']).toBeCloseTo(1_205, -1);
    rmSync(wantedFile());
  });

  test('relations that were found different, or cannot be compared, are problems of the direction that is synced', async () => {
    const { state } = context;
    for (const name of ['sync.problem', 'sync.identity', 'sync.catalog']) await state.setFact(name, null);
    await state.facing('back').setFact('sync.problem', null);
    wanted('forward');
    await mark('1', 2);
    expect(await told()).toMatchObject({ SyncProblems: 0, WayBackProblems: 0 });
    await mark('2', 3);
    await mark('3', 3);
    expect(await told()).toMatchObject({ SyncProblems: 1, WayBackProblems: 0 });
    await state.setFact('sync.unequal', { '"public"."item"': 4, '"public"."typed"': 1 });
    expect(await told()).toMatchObject({ SyncProblems: 2, WayBackProblems: 0 });
    await state.setFact('sync.compare', { problems: ['"public"."leaf" cannot be compared: it has no key'] });
    expect(await told()).toMatchObject({ SyncProblems: 3, WayBackProblems: 0 });
    wanted('back');
    expect(await told()).toMatchObject({ SyncProblems: 0, WayBackProblems: 1 });
  });

  test('capture that was taken off is a problem, before there was a sync and when it is not wanted any more', async () => {
    rmSync(wantedFile());
    await context.state.setFact('capture.off', { reason: 'the captured changes take 900 MB' });
    expect(await told()).toMatchObject({ SyncProblems: 1, SyncBehind: 0 });
    expect(await standingProblems(context.state)).toEqual([
      'capture was taken off because the captured changes take 900 MB; run cleanup and migrate again',
    ]);
    await context.state.client.query(`DELETE FROM ibex.fact WHERE name = 'sync.plan'`);
    expect(await told()).toMatchObject({ SyncProblems: 1 });
  });
});
