import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { DBGROUP } from '../../../../assets/agent/bucardo/names';
import { purgeApplied } from '../../../../assets/agent/bucardo/queues';
import { installShared, queueStatements, triggerStatements } from '../../../../assets/agent/capture/objects';
import type { Relation } from '../../../../assets/agent/catalog/relations';
import { applyChanges } from '../../../../assets/agent/catch-up/apply';
import { Context } from '../../../../assets/agent/context';
import { Failure } from '../../../../assets/agent/errors';
import { Lease, prepareLeases } from '../../../../assets/agent/lease';
import { readProgress } from '../../../../assets/agent/progress';
import { watchIdentity } from '../../../../assets/agent/sync/identity';
import { Purge } from '../../../../assets/agent/sync/purge';
import { SickRelations } from '../../../../assets/agent/sync/sick-relations';
import { DirtyKeys } from '../../../../assets/agent/verify/dirty/dirty-keys';
import { DirtyVerifier } from '../../../../assets/agent/verify/dirty/verify-dirty';
import { LastKeys } from '../../../../assets/agent/verify/dirty/last-keys';
import { VerifyAgain } from '../../../../assets/agent/verify/dirty/verify-again';
import { verifyRows } from '../../../../assets/agent/verify/rows';
import { setBackClock } from '../../../helpers/clock';
import { until } from '../../../helpers/until';
import { agentConfig, startEnds, type Ends } from '../ends';

let ends: Ends;
let directory: string;
let context: Context;
let dirty: DirtyKeys;
let sick: SickRelations;
let verifier: DirtyVerifier;
let relation: Relation;
let lease: Lease;
let purger: Client;
beforeAll(async () => {
  ends = await startEnds();
  directory = mkdtempSync(join(tmpdir(), 'ibex-dirty-'));
  const config = agentConfig(ends, directory);
  context = await Context.create({ ...config, verify: { ...config.verify, dirtyKeysPerSecond: 1_000_000 } }, 'verify');
  dirty = await DirtyKeys.open(context);
  await ends.run('both', 'CREATE TABLE public.t (k text PRIMARY KEY, v text)');
  relation = await ends.relation('"public"."t"');
  await installShared(ends.source);
  for (const statement of [...queueStatements(relation), ...triggerStatements(relation)]) {
    await ends.run('source', statement);
  }
  await prepareLeases(ends.target, [relation]);
  lease = await Lease.take(ends.target, 'catch-up');
  purger = await context.connect('source', 'supervise');
});
afterAll(async () => {
  await dirty.close();
  await context.close();
  rmSync(directory, { recursive: true });
  await ends.stop();
});
beforeEach(async () => {
  await dirty.forgetAll();
  await ends.run(
    'both',
    `TRUNCATE public.t; INSERT INTO public.t SELECT 'k' || g, 'v' FROM generate_series(1, 1000) g`,
  );
  await ends.run('source', 'TRUNCATE bucardo.delta_public_t, bucardo.track_public_t, bucardo.ibex_truncated');
  sick = new SickRelations('sync.compare', 'cannot be compared');
  verifier = new DirtyVerifier(context, [relation], sick);
});
afterEach(() => verifier.close());

const verify = (): ReturnType<typeof verifyRows> => verifyRows(context, [relation]);
const write = (sql: string): Promise<void> => ends.run('source', sql);
/** As Bucardo: the target, and then a note of it. */
const apply = async (sql: string): Promise<void> => {
  await ends.run('target', sql);
  await write(`INSERT INTO bucardo.track_public_t SELECT DISTINCT txntime, '${DBGROUP}' FROM bucardo.delta_public_t`);
};
const sessionsOf = async (end: 'source' | 'target', purpose: string): Promise<number[]> => {
  const { rows } = await ends[end].query('SELECT pid FROM pg_stat_activity WHERE application_name = $1', [
    `ibex ${purpose}`,
  ]);
  return (rows as { pid: number }[]).map(({ pid }) => pid);
};
const purge = (): Promise<number> => purgeApplied(purger, relation, dirty);
const change = async (sql: string): Promise<void> => {
  await write(sql);
  await apply(sql);
  await purge();
};

it('before any comparison nothing is marked, and the relation counts as not verified', async () => {
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: ['"public"."t"'] });
});

it('after one, what is forgotten is marked, whoever applied it, until it is compared again', async () => {
  await verify();
  expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: [] });
  await change(`UPDATE public.t SET k = '{"a, \\b}' WHERE k = 'k1'; DELETE FROM public.t WHERE k = 'k2'`);
  expect((await dirty.count([relation])).keys).toBe(3);
  await write(`UPDATE public.t SET v = 'new' WHERE k = 'k3'`);
  const sessions = { source: await ends.open('source'), target: await ends.open('target'), dirty };
  expect(await applyChanges(sessions, lease, relation)).toBe(1);
  await Promise.all([sessions.source.end(), sessions.target.end()]);
  expect((await dirty.count([relation])).keys).toBe(4);
  expect(await verifier.step()).toEqual({ equal: 4, pending: 0, different: 0 });
  expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: [] });
});

it('a key that changes again is marked anew when that is forgotten', async () => {
  await verify();
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await write(`UPDATE public.t SET v = 'newer' WHERE k = 'k1'`);
  expect(await verifier.step()).toEqual({ equal: 0, pending: 1, different: 0 });
  await apply(`UPDATE public.t SET v = 'newer' WHERE k = 'k1'`);
  await purge();
  expect((await dirty.count([relation])).keys).toBe(1);
  expect(await verifier.step()).toEqual({ equal: 1, pending: 0, different: 0 });
});

it('a key that is changed again and again between two purges is marked once, since one look is enough', async () => {
  await verify();
  await write(`DO $$ BEGIN FOR i IN 1..500 LOOP UPDATE public.t SET v = i WHERE k = 'k1'; END LOOP; END $$`);
  await write(`UPDATE public.t SET v = '500' WHERE k IN ('k1', 'k2')`);
  await apply(`UPDATE public.t SET v = '500' WHERE k IN ('k1', 'k2')`);
  expect(await purge()).toBe(502);
  expect((await dirty.count([relation])).keys).toBe(2);
  expect(await verifier.step()).toEqual({ equal: 2, pending: 0, different: 0 });
});

it('a change that was lost on its way is found after three looks, until a later look finds the key equal', async () => {
  await verify();
  await write(`UPDATE public.t SET v = 'lost' WHERE k = 'k7'`);
  await apply('SELECT 1');
  await purge();
  for (const different of [0, 0, 1]) expect(await verifier.step()).toEqual({ equal: 0, pending: 0, different });
  expect(await verifier.step()).toEqual({ equal: 0, pending: 0, different: 0 });
  expect(await dirty.count([relation])).toEqual({ keys: 1, different: 1, unverified: [] });
  await change(`UPDATE public.t SET v = 'again' WHERE k = 'k7'`);
  expect(await verifier.step()).toEqual({ equal: 1, pending: 0, different: 0 });
  expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: [] });
});

it('what a long round of the supervisor let pile up is looked at: the limit holds for all of the time', async () => {
  const verify100 = { ...context.config.verify, dirtyKeysPerSecond: 100 };
  const config = { ...context.config, verify: verify100 };
  const of = Object.create(context, { config: { value: config } }) as Context;
  const limited = new DirtyVerifier(of, [relation], sick);
  const now = performance.now();
  try {
    await verify();
    await change(`UPDATE public.t SET v = 'new'`);
    const clock = jest.spyOn(performance, 'now').mockReturnValue(now + 2_000);
    expect((await limited.step()).equal).toBe(200);
    clock.mockReturnValue(now + 11_000);
    expect((await limited.step()).equal).toBe(800);
  } finally {
    jest.restoreAllMocks();
    await limited.close();
  }
});

it('the oldest marks are looked at first, whichever relation they are of: a busy one does not keep others waiting', async () => {
  const other = { ...relation, name: 'u' };
  await dirty.mark(other, [['k1']]);
  await dirty.mark(relation, [['k1'], ['k2']]);
  await dirty.mark(other, [['k2'], ['k1']]);
  const named = async (relations: readonly Relation[], limit: number): Promise<string[]> =>
    (await dirty.oldest(relations, limit)).map(({ name, key }) => `${name} ${key.join()}`).sort();
  expect(await named([relation, other], 2)).toEqual(['t k1', 'u k1']);
  expect(await named([relation, other], 5)).toEqual(['t k1', 't k2', 'u k1', 'u k2']);
  expect(await named([relation], 5)).toEqual(['t k1', 't k2']);
});

it('a key that was marked often does not keep the others waiting', async () => {
  await dirty.mark(relation, [['k1'], ['k1'], ['k1'], ['k2']]);
  expect(await dirty.oldest([relation], 2)).toMatchObject([
    { key: ['k1'], ids: [expect.any(String), expect.any(String), expect.any(String)] },
    { key: ['k2'], ids: [expect.any(String)] },
  ]);
});

it('of too many marks those of the busiest relation go: it is compared as a whole, but not one that is being compared', async () => {
  const other = { ...relation, name: 'u', sql: '"public"."u"' };
  const begun = await dirty.begin(ends.source, [relation]);
  await dirty.mark(relation, [['k1'], ['k2'], ['k3']]);
  await dirty.mark(other, [['k1'], ['k2']]);
  expect(await dirty.keepAtMost(4, [relation, other])).toEqual([]);
  for (const [one, beginning] of begun) await dirty.end(one, beginning, 1000);
  expect(await dirty.standing([relation, other])).toMatchObject([
    { keys: 3, verifiedAt: expect.any(Date) },
    { keys: 2 },
  ]);
  expect(await dirty.keepAtMost(5, [relation, other])).toEqual([]);
  expect(await dirty.keepAtMost(4, [relation, other])).toEqual(['"public"."t"']);
  expect(await dirty.standing([relation, other])).toMatchObject([
    { keys: 0, verifiedAt: null, again: true },
    { keys: 2, again: false },
  ]);
});

it('one that is being compared may have five times as many; with more its comparison is void, and nothing is known of it', async () => {
  const begun = await dirty.begin(ends.source, [relation]);
  const keys = Array.from({ length: 20 }, (_, i) => [`k${i}`]);
  await dirty.mark(relation, keys);
  expect(await dirty.keepAtMost(4, [relation])).toEqual([]);
  await dirty.mark(relation, [['k20']]);
  expect(await dirty.keepAtMost(4, [relation])).toEqual(['"public"."t"']);
  for (const [one, beginning] of begun) await dirty.end(one, beginning, 1000);
  expect(await dirty.standing([relation])).toMatchObject([{ keys: 0, verifiedAt: null, again: true }]);
});

it('one whose comparison began more than a day ago is not taken for being compared', async () => {
  await dirty.begin(ends.source, [relation]);
  await dirty.mark(relation, [['k1'], ['k2']]);
  expect(await dirty.keepAtMost(1, [relation])).toEqual([]);
  await context.state.client.query(`UPDATE ibex.verified SET begun_at = begun_at - interval '25 hours'`);
  expect(await dirty.keepAtMost(1, [relation])).toEqual(['"public"."t"']);
});

it('keys of many batches are looked at side by side, and none is left out', async () => {
  await verify();
  await change(
    `INSERT INTO public.t SELECT 'n' || g, 'v' FROM generate_series(1, 3000) g; UPDATE public.t SET v = 'new'`,
  );
  expect(await verifier.step()).toEqual({ equal: 4000, pending: 0, different: 0 });
  expect((await dirty.count([relation])).keys).toBe(0);
});

describe('a relation that cannot be compared', () => {
  const told = async (): Promise<unknown> => context.state.fact('sync.compare');
  let clock: jest.SpyInstance<number, []>;
  let passed = 0;
  beforeEach(async () => {
    passed = 0;
    const now = performance.now.bind(performance);
    clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + passed);
    await verify();
    await change(`UPDATE public.t SET v = 'new' WHERE k IN ('k1', 'k2')`);
  });
  afterEach(() => clock.mockRestore());

  it('is told by name, keeps its marks, holds up no other, and is tried again later', async () => {
    const other = { ...relation, name: 'u', sql: '"public"."u"' };
    await verifier.close();
    verifier = new DirtyVerifier(context, [other, relation], sick);
    await dirty.mark(other, [['k1']]);
    expect((await verifier.step()).equal).toBe(2);
    expect(await told()).toEqual({
      problems: [expect.stringMatching(/^"public"."u" cannot be compared: .*"public"."u"/)],
    });
    expect((await dirty.count([other])).keys).toBe(1);
    await ends.run('both', 'CREATE TABLE public.u (k text PRIMARY KEY, v text)');
    await ends.run('source', 'CREATE VIEW bucardo.delta_public_u AS SELECT * FROM bucardo.delta_public_t WHERE false');
    await dirty.mark(relation, [['k1']]);
    expect((await verifier.step()).equal).toBe(1);
    expect(await told()).not.toBeNull();
    passed = 2_000;
    expect((await verifier.step()).equal).toBe(1);
    expect(await told()).toBeNull();
    expect((await dirty.count([other])).keys).toBe(0);
    await ends.run('source', 'DROP VIEW bucardo.delta_public_u');
    await ends.run('both', 'DROP TABLE public.u');
  });

  it('is no problem any more when its marks went otherwise', async () => {
    const other = { ...relation, name: 'u', sql: '"public"."u"' };
    await verifier.close();
    verifier = new DirtyVerifier(context, [other], sick);
    await dirty.mark(other, [['k1']]);
    await verifier.step();
    expect(await told()).not.toBeNull();
    await context.state.client.query('TRUNCATE ibex.dirty_key');
    passed = 2_000;
    await verifier.step();
    expect(await told()).toBeNull();
  });

  it('because it is locked is looked at later, and nobody waits for it, nor is it told of', async () => {
    const holder = await ends.open('source');
    await holder.query('BEGIN; LOCK TABLE public.t');
    expect(await verifier.step()).toEqual({ equal: 0, pending: 0, different: 0 });
    expect(await told()).toBeNull();
    await holder.query('ROLLBACK');
    await holder.end();
    passed = 2_000;
    expect((await verifier.step()).equal).toBe(2);
  });

  it('is compared as a whole one day, and not key by key, once a million changes of it wait', async () => {
    const other = { ...relation, name: 'u', sql: '"public"."u"' };
    await verifier.close();
    verifier = new DirtyVerifier(context, [other, relation], sick);
    await context.state.client.query(`
      INSERT INTO ibex.verified (schema_name, relation_name, verified_at, rows) VALUES ('public', 'u', now(), 1);
      INSERT INTO ibex.dirty_key (schema_name, relation_name, key)
      SELECT 'public', 'u', ARRAY[i::text] FROM generate_series(1, 1000001) AS i`);
    await verifier.step();
    expect(await dirty.standing([other])).toMatchObject([{ keys: 1_000_001, again: false }]);
    await dirty.mark(relation, [['k1']]);
    passed = 100_000;
    expect((await verifier.step()).equal).toBe(1);
    expect(await dirty.standing([other])).toMatchObject([{ keys: 0, again: true, verifiedAt: null }]);
  });

  it('since a server is not there is not to blame', async () => {
    const away = Object.create(context, {
      connect: { value: () => Promise.reject(new Failure('cannot connect to source x: connection refused')) },
    }) as Context;
    const one = new DirtyVerifier(away, [relation], sick);
    passed = 2_000;
    await expect(one.step()).rejects.toThrow('connection refused');
    expect(await told()).toBeNull();
    await one.close();
  });

  it('since a server has room for no session is looked at later, which leaves open sessions and other work alone', async () => {
    const cause = Object.assign(new Error('sorry, too many clients already'), { code: '53300' });
    const full = Object.create(context, {
      connect: {
        value: (end: 'source' | 'target', purpose: string) =>
          end === 'source'
            ? context.connect(end, purpose)
            : Promise.reject(new Failure('cannot connect to target x: too many clients', { cause })),
      },
    }) as Context;
    const one = new DirtyVerifier(full, [relation], sick);
    passed = 2_000;
    expect(await one.step()).toEqual({ equal: 0, pending: 0, different: 0 });
    expect(await told()).toBeNull();
    expect((await dirty.count([relation])).keys).toBe(2);
    // None of its own is left behind either.
    await until(async () => (await sessionsOf('source', 'compare keys')).length === 0);
    await one.close();
  });
});

describe('in the pause, when nobody writes and everything is applied,', () => {
  let last: LastKeys;
  beforeEach(async () => (last = await LastKeys.open(context)));
  afterEach(() => last.close());
  const compare = (left = () => 60_000): ReturnType<LastKeys['compare']> => last.compare([relation], left);

  it('every marked key is compared, and the proof says what was known before', async () => {
    const began = Date.now();
    await verify();
    await change(`UPDATE public.t SET v = 'new' WHERE k <> 'k1'`);
    await change(`UPDATE public.t SET v = 'newer' WHERE k = 'k2'; DELETE FROM public.t WHERE k = 'k3'`);
    const proof = await compare();
    expect(proof).toMatchObject({ keys: 999, whole: [], differences: [], different: 0, unverified: [] });
    expect(proof.before).toMatchObject({ relations: 1, rows: 1000 });
    expect(Date.parse(proof.before.from ?? '')).toBeGreaterThanOrEqual(began);
    expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: [] });
  });

  it('a marked key that differs is found at once, stays marked, and is free again once it is equal', async () => {
    await verify();
    await change(`UPDATE public.t SET v = 'new' WHERE k IN ('k7', 'k8', 'k9')`);
    await ends.run('target', `UPDATE public.t SET v = 'wrong' WHERE k = 'k7'; DELETE FROM public.t WHERE k = 'k8'`);
    const { keys, different, differences } = await compare();
    expect([keys, different]).toEqual([3, 2]);
    expect(differences).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ relation: '"public"."t"', kind: 'different', key: ['k7'] }),
        expect.objectContaining({ relation: '"public"."t"', kind: 'missing on target', key: ['k8'] }),
      ]),
    );
    expect(await dirty.count([relation])).toEqual({ keys: 2, different: 2, unverified: [] });
    await ends.run('target', `UPDATE public.t SET v = 'new' WHERE k = 'k7'; INSERT INTO public.t VALUES ('k8', 'new')`);
    expect(await compare()).toMatchObject({ keys: 2, different: 0 });
    expect((await dirty.count([relation])).keys).toBe(0);
  });

  it('a row that nobody marked is not looked at: the comparison on held snapshots has to find it', async () => {
    await verify();
    await ends.run('target', `UPDATE public.t SET v = 'wrong' WHERE k = 'k7'`);
    expect(await compare()).toMatchObject({ keys: 0, different: 0 });
  });

  it('a relation of which nothing is known is compared as a whole, and known from then on', async () => {
    expect(await compare()).toMatchObject({ keys: 0, whole: [{ relation: '"public"."t"', rows: 1000 }] });
    expect((await dirty.count([relation])).unverified).toEqual([]);
    expect(await compare()).toMatchObject({ whole: [], before: { relations: 1, rows: 1000 } });
  });

  it('an unmarked difference in such a relation is found', async () => {
    await ends.run('target', `INSERT INTO public.t VALUES ('extra', 'v')`);
    expect(await compare()).toMatchObject({ different: 1, differences: [{ kind: 'extra on target', key: ['extra'] }] });
    expect((await dirty.count([relation])).unverified).toEqual(['"public"."t"']);
  });

  it('one that is larger than the limit is left out, and said to be unknown', async () => {
    const config = { ...context.config, ready: { ...context.config.ready, keysToCompare: 999 } };
    const one = await LastKeys.open(Object.assign(Object.create(context) as Context, { config }));
    expect(await one.compare([relation], () => 60_000)).toMatchObject({ whole: [], unverified: ['"public"."t"'] });
    await one.close();
  });

  it('what is seen after the time is not kept', async () => {
    await verify();
    await change(`UPDATE public.t SET v = 'new' WHERE k = 'k7'`);
    await ends.run('target', `UPDATE public.t SET v = 'wrong' WHERE k = 'k7'`);
    await expect(compare(() => 0)).rejects.toThrow('the time ran out');
    expect(await dirty.count([relation])).toEqual({ keys: 1, different: 0, unverified: [] });
  });
});

it('what is forgotten while a comparison is under way stays marked after it', async () => {
  const begun = await dirty.begin(ends.source, [relation]);
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  for (const [one, beginning] of begun) await dirty.end(one, beginning, 1000);
  expect(await dirty.count([relation])).toEqual({ keys: 1, different: 0, unverified: [] });
});

it('what is on its way when a comparison ends is marked', async () => {
  await write(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  expect((await verify()).comparison.inFlight).toBe(1);
  expect((await dirty.count([relation])).keys).toBe(1);
});

it('a comparison that finds a difference verifies nothing, and one that finds none takes older marks away', async () => {
  await verify();
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await ends.run('target', `UPDATE public.t SET v = 'wrong' WHERE k = 'k5'`);
  await verify();
  expect(await dirty.count([relation])).toEqual({ keys: 1, different: 0, unverified: ['"public"."t"'] });
  await ends.run('target', `UPDATE public.t SET v = 'v' WHERE k = 'k5'`);
  await verify();
  expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: [] });
});

it('a relation that was truncated and copied anew has to be compared as a whole, which is done by itself', async () => {
  await verify();
  await write(`TRUNCATE public.t; INSERT INTO public.t VALUES ('only', 'v')`);
  const sessions = { source: await ends.open('source'), target: await ends.open('target'), dirty };
  await applyChanges(sessions, lease, relation);
  await Promise.all([sessions.source.end(), sessions.target.end()]);
  expect((await dirty.count([relation])).unverified).toEqual(['"public"."t"']);
  await ends.run('target', `UPDATE public.t SET v = 'other' WHERE k = 'only'`);
  await new VerifyAgain(context).step([relation]);
  // Different: it is tried again later, not given up.
  expect(await dirty.standing([relation])).toMatchObject([{ again: true, verifiedAt: null }]);
  expect(await context.state.fact('sync.unequal')).toEqual({ '"public"."t"': 1 });
  await ends.run('target', `UPDATE public.t SET v = 'v' WHERE k = 'only'`);
  await new VerifyAgain(context).step([relation]);
  expect(await dirty.standing([relation])).toMatchObject([
    { rows: 1, again: false, verifiedAt: expect.any(Date) as Date },
  ]);
  expect(await context.state.fact('sync.unequal')).toEqual({});
});

it('a comparison that its context does not outlive ends with it, although it has sections left', async () => {
  await ends.run(
    'both',
    'CREATE TABLE public.n AS SELECT i FROM generate_series(1, 2000) i; ALTER TABLE public.n ADD PRIMARY KEY (i)',
  );
  const numbered = await ends.relation('"public"."n"');
  for (const statement of queueStatements(numbered)) await write(statement);
  await verifyRows(context, [numbered]);
  await dirty.markAll(numbered);
  const settings = { ...context.config.verify, chunkRows: 10, jobs: 2 };
  const own = await Context.create({ ...context.config, verify: settings }, 'outlived');
  const holder = await ends.open('target');
  await holder.query('BEGIN; LOCK TABLE public.n');
  let ended = false;
  const step = new VerifyAgain(own).step([{ ...numbered, rows: 2000 }]).finally(() => (ended = true));
  const waiting = async (): Promise<number> => {
    const { rowCount } = await ends.target.query(
      `SELECT FROM pg_stat_activity WHERE application_name = 'ibex outlived' AND wait_event_type = 'Lock'`,
    );
    return rowCount ?? 0;
  };
  try {
    await until(async () => (await waiting()) === 2, { seconds: 20 });
    await own.close();
    await until(async () => ended || (await waiting()) > 2);
    expect(ended).toBe(true);
  } finally {
    await holder.query('ROLLBACK');
    await Promise.all([holder.end(), step]);
  }
  await expect(own.connect('source')).rejects.toThrow('cannot connect to the source: outlived has ended');
  await expect(own.connectMemory()).rejects.toThrow('outlived has ended');
  await until(async () => (await sessionsOf('target', 'outlived')).length === 0);
  expect(await sessionsOf('source', 'outlived')).toEqual([]);
  await ends.run('both', 'DROP TABLE public.n');
});

it('a relation whose comparison was cut off is not begun anew each time that the supervisor begins anew', async () => {
  await verify();
  await dirty.markAll(relation);
  const notBefore = new Map<string, number>();
  const away = Object.create(context, {
    connect: { value: () => Promise.reject(new Failure('cannot connect to source x: connection refused')) },
  }) as Context;
  await new VerifyAgain(away, notBefore).step([relation]);
  await new VerifyAgain(context, notBefore).step([relation]);
  expect((await dirty.count([relation])).unverified).toEqual(['"public"."t"']);
});

it('a relation that never was verified waits for a verify: only on the way back nobody starts one', async () => {
  await new VerifyAgain(context).step([relation]);
  expect((await dirty.count([relation])).unverified).toEqual(['"public"."t"']);
});

it('nothing is known any more after the source has jumped back in time', async () => {
  await verify();
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await watchIdentity(context, ends.source);
  const { value } = (await context.state.client.query(`SELECT value FROM ibex.fact WHERE name = 'source.seen'`))
    .rows[0] as { value: object };
  await context.state.setFact('source.seen', { ...value, txid: '9000000000' });
  await watchIdentity(context, ends.source);
  expect(await dirty.count([relation])).toEqual({ keys: 0, different: 0, unverified: ['"public"."t"'] });
});

it('a change is not forgotten when its mark cannot be kept', async () => {
  await verify();
  await write(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await apply(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await context.state.client.query('ALTER TABLE ibex.dirty_key RENAME TO elsewhere');
  const [one, marks] = [await ends.open('source'), await DirtyKeys.open(context)];
  await expect(purgeApplied(one, relation, marks)).rejects.toThrow('"ibex.dirty_key" does not exist');
  await Promise.all([one.end(), marks.close()]);
  await context.state.client.query('ALTER TABLE ibex.elsewhere RENAME TO dirty_key');
  const { rows } = await ends.source.query('SELECT k FROM bucardo.delta_public_t');
  expect(rows).toEqual([{ k: 'k1' }]);
});

it('changes that cannot be forgotten are told by name, and keep those of no other relation', async () => {
  const other = { ...relation, name: 'u', sql: '"public"."u"' };
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await write(`UPDATE public.t SET v = 'newer' WHERE k = 'k1'`);
  await apply(`UPDATE public.t SET v = 'newer' WHERE k = 'k1'`);
  const left = new SickRelations('sync.purge', 'cannot forget the changes that were applied');
  const duty = new Purge(
    { context, ends: { source: purger, target: ends.target }, relations: [other, relation] },
    left,
  );
  await duty.run();
  await duty.close();
  expect((await ends.source.query('SELECT k FROM bucardo.delta_public_t')).rows).toEqual([]);
  expect(await context.state.fact('sync.purge')).toEqual({
    problems: [expect.stringMatching(/^"public"."u" cannot forget .*delta_public_u" does not exist/)],
  });
  expect([left.mayBeTried(other), left.mayBeTried(relation)]).toEqual([false, true]);
});

describe('a purge', () => {
  const others = Array.from({ length: 300 }, (_, i) => `other${i}`);
  let relations: readonly Relation[];
  let duty: Purge;
  beforeAll(async () => {
    relations = others.map((name) => ({ ...relation, name, sql: `"public"."${name}"` }));
    for (const one of relations) await ends.run('source', queueStatements(one).join(';\n'));
  });
  beforeEach(() => {
    const left = new SickRelations('sync.purge', 'cannot forget the changes that were applied');
    duty = new Purge(
      { context, ends: { source: purger, target: ends.target }, relations: [...relations, relation] },
      left,
    );
  });
  afterEach(() => duty.close());
  const left = async (name: string): Promise<number> =>
    (await ends.source.query(`SELECT FROM bucardo.delta_public_${name}`)).rowCount ?? 0;

  it('asks a source that may be far away little of hundreds of tables that nobody has changed', async () => {
    await write(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
    await apply(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
    const asked = jest.spyOn(purger, 'query');
    await duty.run();
    const statements = asked.mock.calls.length;
    asked.mockRestore();
    expect(await left('t')).toBe(0);
    expect(statements).toBeLessThan(15);
  });

  it('of many tables that are busy leaves some for the next one, so that all other work of the supervisor has its turn', async () => {
    const busy = others.slice(0, 5);
    for (const name of busy) {
      await write(`INSERT INTO bucardo.delta_public_${name} (k) VALUES ('1');
        INSERT INTO bucardo.track_public_${name} SELECT txntime, '${DBGROUP}' FROM bucardo.delta_public_${name}`);
    }
    const sum = async (): Promise<number> => {
      const counts = await Promise.all(busy.map(left));
      return counts.reduce((all, one) => all + one, 0);
    };
    let at = performance.now();
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => (at += 2_000));
    const seen: number[] = [];
    for (let run = 0; run < 5; run++) {
      await duty.run();
      seen.push(await sum());
    }
    clock.mockRestore();
    expect(seen[0]).toBeGreaterThan(0);
    expect(seen[0]).toBeLessThan(5);
    expect(seen[4]).toBe(0);
  });
});

describe('a comparison begins only when no applier is in a transaction that may not know of it', () => {
  const whom =
    /a transaction that applies changes.* pid \d+ \(ibex supervise, idle in transaction, for \d+ s\): BEGIN; SELECT FROM public\.t WHERE k = \?/;
  let clock: jest.SpyInstance;
  beforeEach(async () => {
    await purger.query(`BEGIN; SELECT FROM public.t WHERE k = 'a value'`);
    let at = performance.now();
    clock = jest.spyOn(performance, 'now').mockImplementation(() => (at += 20_000));
  });
  afterEach(async () => {
    clock.mockRestore();
    await purger.query('COMMIT');
  });

  it('which the phase waits for, however long, and says so', async () => {
    const verifying = verify();
    const told = new Set<number>();
    const waits = (): boolean => {
      const progress = readProgress(context.config.host.stateDirectory, 'verify');
      if (progress && whom.test(progress.note)) told.add(progress.at);
      return told.size > 4;
    };
    await Promise.race([verifying, until(waits, { seconds: Infinity })]);
    expect(told.size).toBeGreaterThan(4);
    clock.mockRestore();
    await purger.query('COMMIT');
    expect((await verifying).comparison.ok).toBe(true);
  });

  it('and nobody else for longer than a minute, also when the clock is set back meanwhile', async () => {
    const back = setBackClock();
    await expect(dirty.begin(ends.source, [relation])).rejects.toThrow(whom);
    back.mockRestore();
  });
});
