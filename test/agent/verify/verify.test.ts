import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import { CAPTURED_FACT } from '../../../assets/agent/capture/check';
import { installShared, queueStatements, triggerStatements } from '../../../assets/agent/capture/objects';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import { Context } from '../../../assets/agent/context';
import { Lease, prepareLeases } from '../../../assets/agent/lease';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { runPhase } from '../../../assets/agent/phase';
import { readProgress } from '../../../assets/agent/progress';
import { State } from '../../../assets/agent/state';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { readIdentity } from '../../../assets/agent/sync/identity';
import { verify } from '../../../assets/agent/verify';
import { until } from '../../helpers/until';
import { agentConfig, startEnds, type Ends } from './ends';

let ends: Ends;
let directory: string;
let config: AgentConfig;
let state: State;
let writer: Client;
beforeAll(async () => {
  ends = await startEnds();
  directory = mkdtempSync(join(tmpdir(), 'ibex-verify-'));
  config = agentConfig(ends, directory);
  state = await State.open(config.host);
  await state.phaseStarted('sync');
  await state.phaseEnded('sync', 'succeeded', '');
  await ends.run(
    'both',
    'CREATE TABLE public.t (id int PRIMARY KEY, v text); CREATE TABLE public.u (id text PRIMARY KEY)',
  );
  await ends.run('both', `INSERT INTO public.t SELECT g, 'v' FROM generate_series(1, 2000) g`);
  await ends.run('both', `INSERT INTO public.u SELECT 'u' || g FROM generate_series(1, 100) g`);
  await installShared(ends.source);
  const relations = await ends.relations('"public"."t"', '"public"."u"');
  await prepareLeases(ends.target, relations);
  for (const relation of relations) {
    for (const statement of [...queueStatements(relation), ...triggerStatements(relation)]) {
      await ends.run('source', statement);
    }
  }
  writer = await ends.open('source');
});
afterAll(async () => {
  await state.close();
  await writer.end();
  rmSync(directory, { recursive: true });
  await ends.stop();
});

const run = (): Promise<string> => runPhase(config, verify);

it('sees a target that was put back to an earlier time, and settles that when all is equal', async () => {
  await state.setFact('target.seen', { ...(await readIdentity(ends.target)), wal: '9000000000000000' });
  await run();
  const evidence = (await state.allEvidence()).filter(({ gate }) => /(is|are) the same$/.test(String(gate)));
  expect(evidence.map(({ gate, passed }) => [gate, passed])).toEqual([
    ['the target is the same', false],
    ['both ends are the same', true],
  ]);
  expect(await standingProblems(state)).toEqual([]);
});

it('tells what was compared, and leaves figures, evidence and progress', async () => {
  const before = (await state.allEvidence()).length;
  await writer.query(`UPDATE public.t SET v = 'new' WHERE id <= 2`);
  expect(await run()).toMatch(
    /^2,100 rows of 2 relations are equal on both ends, 2 in flight, [\d.]+ s; catalogs agree/,
  );
  expect((await state.phase('verify'))?.result).toMatchObject({
    rowsCompared: 2100,
    rowsDifferent: 0,
    inFlight: 2,
    inFlightByRelation: { '"public"."t"': 2 },
    relations: 2,
    catalog: { objects: { table: 2, index: 2, constraint: 2 }, failures: [] },
  });
  const gates = (await state.allEvidence()).slice(before).map(({ gate, passed }) => [gate, passed]);
  expect(gates).toEqual([
    ['capture in place', true],
    ['catalogs agree', true],
    ['no sequence is behind', true],
    ['key indexes hide no row', true],
    ['every relation could be compared', true],
    ['every row is equal or in flight', true],
  ]);
  expect(readProgress(config.host.stateDirectory, 'verify')).toMatchObject({ unit: 'rows' });
  await ends.run('target', `UPDATE public.t SET v = 'new' WHERE id <= 2`);
});

it('fails when rows differ, naming relation, kinds, keys and the way on', async () => {
  await ends.run('target', `UPDATE public.t SET v = 'wrong' WHERE id = 10; DELETE FROM public.t WHERE id = 11`);
  const failure = await run().catch((error: Error) => error.message);
  await ends.run('target', `UPDATE public.t SET v = 'v' WHERE id = 10; INSERT INTO public.t VALUES (11, 'v')`);
  expect(failure).toContain('"public"."t": 1 missing on target, 1 different, keys (');
  expect(failure).toContain('(10)');
  expect(failure).toContain('(11)');
  expect(failure).toContain(
    'start verify with --repair (in the runbook: Repair true), which has these keys applied anew',
  );
});

describe('with --repair', () => {
  /** What an applier does with each key of the queue of t; it stops when told. */
  async function applying<T>(apply: (id: number) => Promise<void>, work: () => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const applier = (async () => {
      while (!stop.signal.aborted) {
        const { rows } = await writer.query('DELETE FROM bucardo.delta_public_t RETURNING id');
        for (const { id } of rows as { id: number }[]) await apply(id);
        await sleep(20);
      }
    })();
    try {
      return await work();
    } finally {
      stop.abort();
      await applier;
    }
  }
  const apply = async (id: number): Promise<void> => {
    const { rows } = await writer.query('SELECT v FROM public.t WHERE id = $1', [id]);
    await ends.target.query('DELETE FROM public.t WHERE id = $1', [id]);
    for (const { v } of rows as { v: string }[])
      await ends.target.query('INSERT INTO public.t VALUES ($1, $2)', [id, v]);
  };
  /** Catch-up as it runs in the sync, which takes keys of the queue to the target and forgets them. */
  async function catchingUp<T>(work: () => Promise<T>): Promise<T> {
    const relation = await ends.relation('"public"."t"');
    const lease = await Lease.take(ends.target, 'catch-up');
    const context = await Context.create(config, 'supervise');
    const sessions = {
      source: await context.connect('source', 'catch-up'),
      target: await context.connect('target', 'catch-up'),
      dirty: await DirtyKeys.open(context),
    };
    const stop = new AbortController();
    const applier = (async () => {
      while (!stop.signal.aborted) {
        await applyChanges(sessions, lease, relation);
        await sleep(20);
      }
    })();
    try {
      return await work();
    } finally {
      stop.abort();
      await applier;
      await context.close();
    }
  }
  const repair = (): Promise<string> => runPhase({ ...config, run: { repair: true } }, verify);
  const differ = (): Promise<void> =>
    ends.run(
      'target',
      `UPDATE public.t SET v = 'wrong' WHERE id = 10; DELETE FROM public.t WHERE id = 11; INSERT INTO public.t VALUES (-1, 'extra')`,
    );

  it('has missing, extra and different rows applied anew, and finds them equal', async () => {
    await differ();
    const message = await catchingUp(repair);
    expect(message).toMatch(/^2,100 rows of 2 relations are equal on both ends, 0 in flight, 3 repaired, /);
    expect((await state.phase('verify'))?.result).toMatchObject({ rowsDifferent: 0, repairedKeys: 3 });
    expect(await run()).toContain('2,100 rows of 2 relations are equal');
    expect(await ends.target.query('SELECT id, v FROM public.t WHERE id IN (-1, 10, 11) ORDER BY id')).toMatchObject({
      rows: [
        { id: 10, v: 'v' },
        { id: 11, v: 'v' },
      ],
    });
  });

  it('changes nothing on the target itself, and says so when nobody applies', async () => {
    await differ();
    await expect(repair()).rejects.toThrow(
      'for 0.3 s nobody applied any: "public"."t" (3) changes are left; look whether sync runs',
    );
    const { rows } = await ends.target.query('SELECT id, v FROM public.t WHERE id IN (-1, 10, 11) ORDER BY id');
    expect(rows).toEqual([
      { id: -1, v: 'extra' },
      { id: 10, v: 'wrong' },
    ]);
    await applying(apply, repair);
  });

  it('waits as long as a run of the sync may take, and says so, where rows count as different sooner than that', async () => {
    await differ();
    const patient = { ...config, sync: { ...config.sync, longestRunSeconds: 60 }, run: { repair: true } };
    const outcome = runPhase(patient, verify).catch((error: Error) => error.message);
    await until(async () => (await writer.query('SELECT FROM bucardo.delta_public_t')).rowCount === 3);
    // What such a run takes.
    await sleep(5_000 * config.verify.settleSeconds);
    expect(readProgress(config.host.stateDirectory, 'verify')).toMatchObject({
      done: 0,
      total: 3,
      note: 'waits until the sync has applied them anew',
    });
    expect(await applying(apply, () => outcome)).toContain(', 3 repaired, ');
  });

  it('fails when rows differ again although they were applied', async () => {
    await differ();
    await expect(applying(() => Promise.resolve(), repair)).rejects.toThrow(
      /"public"."t": 1 missing on target, 1 extra on target, 1 different, keys .*; they were applied anew and differ again/,
    );
    await applying(apply, repair);
  });
});

it('fails when a table has appeared whose changes nobody records, even if all others are equal', async () => {
  await ends.run('both', 'CREATE TABLE public.later (id int PRIMARY KEY)');
  try {
    await expect(run()).rejects.toThrow(
      /^"public"."later" has no trigger "bucardo_delta"; start add, which takes it in$/,
    );
  } finally {
    await ends.run('both', 'DROP TABLE public.later');
  }
});

it('says of a captured table that was dropped what forgets it', async () => {
  await state.setFact(CAPTURED_FACT, { '"public"."dropped"': '1:1 2:2' });
  try {
    await expect(run()).rejects.toThrow(
      /^"public"."dropped" was captured and is gone now; drop on the target too what is gone, and start add$/,
    );
  } finally {
    await state.setFact(CAPTURED_FACT, {});
  }
});

it('fails for good when changes of a captured table may have been missed, whatever else is new', async () => {
  await state.setFact(CAPTURED_FACT, { '"public"."t"': '1:1 2:2' });
  await ends.run('source', 'ALTER TABLE public.t DISABLE TRIGGER bucardo_delta; CREATE TABLE public.later ()');
  try {
    await expect(run()).rejects.toThrow(
      /trigger "bucardo_delta" of "public"."t" is disabled.*; changes may have been missed: run cleanup and migrate again$/,
    );
  } finally {
    await ends.run('source', 'ALTER TABLE public.t ENABLE TRIGGER bucardo_delta; DROP TABLE public.later');
    await state.setFact(CAPTURED_FACT, {});
  }
});

it('fails when a relation cannot be compared, even if all others are equal', async () => {
  await ends.run('target', 'ALTER TABLE public.u RENAME TO elsewhere');
  try {
    await expect(run()).rejects.toThrow(
      '"public"."u" could not be compared: relation "public.u" does not exist; where it was dropped on one end, drop it on the other too and start add',
    );
  } finally {
    await ends.run('target', 'ALTER TABLE public.elsewhere RENAME TO u');
  }
});

it('fails when the target lacks an index', async () => {
  await ends.run('source', 'CREATE INDEX t_v ON public.t (v)');
  await expect(run()).rejects.toThrow(
    'index public.t_v is missing on the target; make them on the target as on the source and start verify again',
  );
  await ends.run('source', 'DROP INDEX public.t_v');
});

it('works under the brake, and goes on when the source is at rest again', async () => {
  const application = await ends.servers.source.connect();
  const { rows } = await application.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const busy = application.query('SELECT pg_sleep(600)').catch(() => undefined);
  const slow = { ...config.verify, jobs: 1, maxRowsPerSecond: 500 };
  const ended = new AbortController();
  const verified = runPhase({ ...config, verify: slow, brake: { ...config.brake, pauseSessions: 1 } }, verify).finally(
    () => ended.abort(),
  );
  while (((await state.counters())['brake.paused'] ?? 0) === 0 && !ended.signal.aborted) await sleep(20);
  expect(ended.signal.aborted).toBe(false);
  await ends.source.query('SELECT pg_cancel_backend($1)', [rows[0]?.pid]);
  await busy;
  await application.end();
  expect(await verified).toContain('2,100 rows of 2 relations are equal');
});

it('succeeds again once the causes are gone', async () => {
  expect(await run()).toContain('2,100 rows of 2 relations are equal');
});
