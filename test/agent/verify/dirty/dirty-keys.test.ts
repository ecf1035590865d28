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
import { Lease, prepareLeases } from '../../../../assets/agent/lease';
import { DirtyKeys } from '../../../../assets/agent/verify/dirty/dirty-keys';
import { DirtyVerifier } from '../../../../assets/agent/verify/dirty/verify-dirty';
import { verifyRows } from '../../../../assets/agent/verify/rows';
import { agentConfig, startEnds, type Ends } from '../ends';

let ends: Ends;
let directory: string;
let context: Context;
let dirty: DirtyKeys;
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
  verifier = new DirtyVerifier(context, [relation]);
});
afterEach(() => verifier.close());

const verify = (): ReturnType<typeof verifyRows> => verifyRows(context, [relation]);
const write = (sql: string): Promise<void> => ends.run('source', sql);
/** As Bucardo: the target, and then a note of it. */
const apply = async (sql: string): Promise<void> => {
  await ends.run('target', sql);
  await write(`INSERT INTO bucardo.track_public_t SELECT DISTINCT txntime, '${DBGROUP}' FROM bucardo.delta_public_t`);
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

it('a change that was lost on its way is found after three looks, and again in the pause', async () => {
  await verify();
  await write(`UPDATE public.t SET v = 'lost' WHERE k = 'k7'`);
  await apply('SELECT 1');
  await purge();
  for (const different of [0, 0, 1]) expect(await verifier.step()).toEqual({ equal: 0, pending: 0, different });
  expect(await verifier.step()).toEqual({ equal: 0, pending: 0, different: 0 });
  expect(await dirty.count([relation])).toEqual({ keys: 1, different: 1, unverified: [] });
  const { keys, differences, unverified } = await verifier.remaining();
  expect({ keys, unverified }).toEqual({ keys: 1, unverified: [] });
  expect(differences).toMatchObject([{ relation: '"public"."t"', kind: 'different', key: ['k7'] }]);
  await ends.run('target', `UPDATE public.t SET v = 'lost' WHERE k = 'k7'`);
  expect(await verifier.remaining()).toEqual({ keys: 1, differences: [], unverified: [] });
  expect((await dirty.count([relation])).keys).toBe(0);
});

it('the pause compares every marked key, however many there are', async () => {
  await verify();
  await change(`UPDATE public.t SET v = 'new'; UPDATE public.t SET v = 'newer'`);
  for (let i = 0; i < 4; i++) await change(`UPDATE public.t SET v = '${i}'`);
  expect((await dirty.count([relation])).keys).toBe(6000);
  await ends.run('target', `DELETE FROM public.t WHERE k = 'k999'`);
  const { keys, differences } = await verifier.remaining();
  expect(keys).toBeGreaterThanOrEqual(1000);
  expect(new Set(differences.map(({ key, kind }) => `${kind} ${key.join()}`))).toEqual(
    new Set(['missing on target k999']),
  );
});

it('what is forgotten while a comparison is under way stays marked after it', async () => {
  const begun = await dirty.begin(ends.source, [relation]);
  await change(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  for (const [one, beginning] of begun) await dirty.end(one, beginning, true);
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

it('a relation that was truncated and copied anew has to be compared as a whole', async () => {
  await verify();
  await write(`TRUNCATE public.t; INSERT INTO public.t VALUES ('only', 'v')`);
  const sessions = { source: await ends.open('source'), target: await ends.open('target'), dirty };
  await applyChanges(sessions, lease, relation);
  await Promise.all([sessions.source.end(), sessions.target.end()]);
  expect((await dirty.count([relation])).unverified).toEqual(['"public"."t"']);
  expect((await verifier.remaining()).unverified).toEqual(['"public"."t"']);
});

it('a change is not forgotten when its mark cannot be kept', async () => {
  await verify();
  await write(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await apply(`UPDATE public.t SET v = 'new' WHERE k = 'k1'`);
  await context.state.client.query('ALTER TABLE ibex.dirty_key RENAME TO elsewhere');
  const one = await ends.open('source');
  await expect(purgeApplied(one, relation, dirty)).rejects.toThrow('COPY broke off');
  await one.end();
  await context.state.client.query('ALTER TABLE ibex.elsewhere RENAME TO dirty_key');
  const { rows } = await ends.source.query('SELECT k FROM bucardo.delta_public_t');
  expect(rows).toEqual([{ k: 'k1' }]);
});

it('a comparison begins only when no applier is in a transaction that may not know of it', async () => {
  await purger.query('BEGIN; SELECT FROM public.t');
  let begun = false;
  const beginning = dirty.begin(ends.source, [relation]).then(() => (begun = true));
  await ends.source.query('SELECT pg_sleep(0.2)');
  expect(begun).toBe(false);
  await purger.query('COMMIT');
  await beginning;
});
