import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { takenOff } from '../../../assets/agent/brake/capture-off';
import { processTag } from '../../../assets/agent/bucardo/program';
import { capture } from '../../../assets/agent/capture';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { claimMove } from '../../../assets/agent/cutover/claim';
import { oneLine } from '../../../assets/agent/errors';
import { ensureFenceSchema, fenceFunction } from '../../../assets/agent/fence/objects';
import { prepareLeases } from '../../../assets/agent/lease';
import { settle } from '../../../assets/agent/sync';
import { Heartbeats, type SeenLag } from '../../../assets/agent/sync/beat';
import { Duties, type Duty } from '../../../assets/agent/sync/duty';
import { standingProblems, type Trouble } from '../../../assets/agent/sync/facts';
import { Healer } from '../../../assets/agent/sync/heal';
import { prepareHeartbeats } from '../../../assets/agent/sync/heartbeat';
import { captureLook, lagLook } from '../../../assets/agent/sync/looks';
import { SupervisorMemory } from '../../../assets/agent/sync/memory';
import { guardQueues } from '../../../assets/agent/sync/guard-queues';
import { Purge } from '../../../assets/agent/sync/purge';
import { watch } from '../../../assets/agent/sync/supervise';
import { wantedDirection } from '../../../assets/agent/sync/supervisor-job';
import { TakeBack } from '../../../assets/agent/sync/take-back';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';

/** What the supervisor reads of Bucardo's own database. */
const RUNS_OF_BUCARDO = `CREATE SCHEMA bucardo;
  CREATE TABLE bucardo.sync (name text, cdate timestamptz DEFAULT now());
  CREATE TABLE bucardo.syncrun (sync text, started timestamptz, ended timestamptz, lastgood bool, lastempty bool,
    lastbad bool, status text)`;

let migration: TestMigration;
let config: AgentConfig;
let context: Context;

beforeAll(async () => {
  migration = await startMigration();
  // A Bucardo that never starts.
  config = { ...migration.config, host: { ...migration.config.host, bucardo: '/bin/false' } };
  for (const end of ['source', 'target'] as const) {
    const client = await migration.admin(end);
    await client.query(
      'CREATE TABLE public.item (id int PRIMARY KEY, v int); CREATE TABLE public.keyed (id int PRIMARY KEY)',
    );
    await client.end();
  }
  context = await migration.context('capture');
  await capture.run(context);
  const source = await context.connect('source');
  await prepareLeases(await context.connect('target'), await readRelations(source, config));
  await context.state.setFact('sync.plan', {});
});
afterAll(() => migration.stop());

test('a start that fails is tried ever less often and is one trouble since the first try, while other duties go on', async () => {
  const { state } = context;
  const wanted = join(config.host.stateDirectory, 'sync.wanted');
  const memory = new SupervisorMemory();
  const failures: unknown[] = [];
  writeFileSync(wanted, 'forward');
  const running = (async () => {
    while (wantedDirection(config) === 'forward')
      await watch(config, memory).catch((error: unknown) => failures.push(error));
  })();

  const troubles = new Set<number | undefined>();
  const stop = async (): Promise<void> => {
    rmSync(wanted);
    await running;
  };
  const starts = async (count: number): Promise<boolean> => {
    const trouble = await state.fact<Trouble | null>('sync.trouble');
    if (troubles.size > 0 || trouble) troubles.add(trouble?.since);
    return ((await state.counters())['bucardo.starts'] ?? 0) >= count;
  };
  try {
    await until(() => starts(1));
    const first = performance.now();
    await until(() => starts(2));
    await until(() => state.fact('source.seen'));
    // What the supervisor knows of its tries is not lost when it must begin anew.
    const killer = await migration.admin('source');
    await killer.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ibex supervise'`,
    );
    await killer.end();
    await until(() => starts(4));
    expect(performance.now() - first).toBeGreaterThan(6_500);
    expect(failures).toHaveLength(1);
    expect([...troubles]).toEqual([expect.any(Number)]);
  } finally {
    await stop();
  }
});

describe('in two minutes of the supervisor', () => {
  /** How often a beat and each duty that reads all tables is done, by a clock that goes on with each question and round alone. */
  const runsWhenEachQuestionTakes = async (ms: number): Promise<Record<string, number>> => {
    let now = 0;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now);
    const runs: Record<string, number> = {};
    const counted = (duty: Duty): Duty => ({
      ...duty,
      run: () => {
        runs[duty.name] = (runs[duty.name] ?? 0) + 1;
        return duty.run();
      },
    });
    try {
      const [source, target] = [await context.connect('source'), await context.connect('target')];
      const relations = await readRelations(source, config);
      const query = source.query.bind(source) as (...question: unknown[]) => unknown;
      Object.assign(source, {
        query: (...question: unknown[]) => {
          now += ms;
          return query(...question);
        },
      });
      const all = { context, ends: { source, target }, relations };
      const memory = new SupervisorMemory();
      const takeBack = new TakeBack(all, memory);
      const purge = new Purge(all, memory.purge);
      const duties = new Duties([
        counted({ name: 'beat', everyMs: 1_000, run: () => Promise.resolve() }),
        counted(captureLook(all)),
        counted({ ...takeBack, run: () => takeBack.run() }),
        counted({ ...purge, run: () => purge.run() }),
        counted(lagLook(all)),
      ]);
      for (; now < 120_000; now += 1_000) await duties.runDue();
      return runs;
    } finally {
      clock.mockRestore();
    }
  };

  test('all are done as often as they can be while they take no time', async () => {
    expect(await runsWhenEachQuestionTakes(0)).toEqual({
      beat: 120,
      capture: 12,
      'take-back': 24,
      purge: 24,
      lag: 120,
    });
  });

  test('none that takes long is at work for more than an eleventh, so that most rounds are for the others', async () => {
    const { beat, capture: looks, ...others } = await runsWhenEachQuestionTakes(1_000);
    expect(beat).toBeGreaterThan(60);
    // It asks more than one question.
    expect(looks).toBeLessThanOrEqual(5);
    for (const runs of Object.values(others)) expect([9, 10, 11]).toContain(runs);
  });
});

test('the lag of a sync that stands still grows on when the supervisor begins anew', async () => {
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  await prepareHeartbeats(ends, ['ibex']);
  await context.state.setFact('sync.plan', { ibex: [] });
  const memory = new SupervisorMemory();
  const beat = async (): Promise<number> => {
    await new Heartbeats({ context, ends, relations: [] }, memory.beats).run();
    return (await context.state.fact<SeenLag>('sync.lag'))?.lag['ibex'] ?? 0;
  };
  expect(await beat()).toBe(0);
  const first = await until(async () => (await beat()) || undefined);
  await until(async () => (await beat()) > first);
  await ends.target.query('INSERT INTO ibex.heartbeat_ibex VALUES (1, clock_timestamp())');
  expect(await beat()).toBe(0);
});

test('a sync that catch-up has handed over to meanwhile is started like the others when it dies', async () => {
  const server = await migration.host.connect();
  await server.query('CREATE DATABASE bucardo');
  const bucardo = await migration.host.connect('bucardo');
  await bucardo.query(`${RUNS_OF_BUCARDO}; INSERT INTO bucardo.sync VALUES ('one'), ('two')`);
  const tag = `(${processTag(config.host)})`;
  const processes = [`Bucardo Master ${tag}`, `Bucardo Controller Sync "one" ${tag}`].map((argv0) =>
    spawn('sleep', ['600'], { argv0, stdio: 'ignore' }),
  );
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  const { starts, recopies } = new SupervisorMemory();
  const healer = new Healer({ context, ends, relations: [] }, starts, recopies);
  const restarts = async (): Promise<number> => (await context.state.counters())['bucardo.sync-restarts'] ?? 0;
  try {
    await context.state.setFact('sync.plan', { one: [] });
    await healer.run();
    expect(await restarts()).toBe(0);
    await context.state.setFact('sync.plan', { one: [], two: [] });
    await healer.run();
    expect(await restarts()).toBe(1);
    expect([...starts.alone.keys()]).toEqual(['two']);
    await context.state.setFact('sync.plan', { one: [] });
    await healer.run();
    expect([...starts.alone.keys()]).toEqual([]);
  } finally {
    for (const process of processes) process.kill();
    await bucardo.end();
    await server.query('DROP DATABASE bucardo');
    await server.end();
  }
});

test('a sync that has not begun is left the time that the start with so many relations takes', async () => {
  const server = await migration.host.connect();
  await server.query('CREATE DATABASE bucardo');
  const bucardo = await migration.host.connect('bucardo');
  await bucardo.query(`${RUNS_OF_BUCARDO}; INSERT INTO bucardo.sync VALUES ('one', now() - interval '200 seconds')`);
  const tag = `(${processTag(config.host)})`;
  const processes = [`Bucardo Master ${tag}`, `Bucardo Controller Sync "one" ${tag}`].map((argv0) =>
    spawn('sleep', ['600'], { argv0, stdio: 'ignore' }),
  );
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  const relations = await readRelations(ends.source, config);
  const many = Array.from({ length: 1_000 }, () => relations.slice(0, 1)).flat();
  const stuckAmong = async (among: readonly Relation[]): Promise<string[]> => {
    const { starts, recopies } = new SupervisorMemory();
    await new Healer({ context, ends, relations: among }, starts, recopies).run();
    return [...starts.alone.keys()];
  };
  try {
    await context.state.setFact('sync.plan', { one: [] });
    await context.state.setFact('sync.trouble', null);
    expect(await stuckAmong(many)).toEqual([]);
    await expect(slowly(() => settle(context, ends, many))).rejects.toThrow(/has not come near in 1[345]\d\d s/);
    await expect(slowly(() => settle(context, ends, relations))).rejects.toThrow(/has not come near in [789]\d\d s/);
    expect(await stuckAmong(relations)).toEqual(['one']);

    // What an earlier Bucardo failed at, before a column was added, is no failure of the one that is being started.
    await bucardo.query(`ALTER TABLE bucardo.syncrun ADD deletes bigint, ADD inserts bigint;
      INSERT INTO bucardo.syncrun (sync, started, ended, status)
      SELECT 'one', clock_timestamp(), clock_timestamp(), 'Failed : refused' FROM generate_series(1, 3)`);
    await context.state.setFact('sync.plan', {});
    await expect(slowly(() => settle(context, ends, relations))).rejects.toThrow('has not come near');
    await context.state.setFact('sync.plan', { one: [] });
    await expect(settle(context, ends, relations)).rejects.toThrow('Bucardo cannot apply: one: Failed : refused');
  } finally {
    for (const process of processes) process.kill();
    await bucardo.end();
    await server.query('DROP DATABASE bucardo');
    await server.end();
  }
});

/** Runs work for which 100 seconds pass between two looks at the clock. */
async function slowly<T>(work: () => Promise<T>): Promise<T> {
  let at = Date.now();
  const clock = jest.spyOn(Date, 'now').mockImplementation(() => (at += 100_000));
  try {
    return await work();
  } finally {
    clock.mockRestore();
  }
}

test('however often it begins anew, or fails to, the supervisor holds its log open once', async () => {
  const away = { ...config, host: { ...config.host, postgres: { ...config.host.postgres, port: 1 } } };
  for (let look = 0; look < 3; look += 1) {
    await guardQueues(config);
    await expect(guardQueues(away)).rejects.toThrow('cannot connect');
  }
  const log = realpathSync(join(config.host.stateDirectory, 'log', 'supervise.jsonl'));
  const held = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd)) === log;
    } catch {
      return false;
    }
  });
  expect(held).toHaveLength(1);
});

describe('while the sync is wanted', () => {
  let source: Client;
  beforeAll(async () => {
    source = await migration.admin('source');
  });
  afterAll(() => source.end());

  /** Alters the key, and expects the application to write on while the supervisor is at work. */
  async function expectWritten(type: string, settings: AgentConfig): Promise<void> {
    await source.query(`ALTER TABLE public.keyed ALTER id TYPE ${type}`);
    const write = (): Promise<unknown> => source.query('INSERT INTO public.keyed VALUES (md5($1)::uuid)', [type]);
    await expect(write()).rejects.toThrow();
    const wanted = join(settings.host.stateDirectory, 'sync.wanted');
    writeFileSync(wanted, 'forward');
    const memory = new SupervisorMemory();
    const failures: string[] = [];
    const running = (async () => {
      while (wantedDirection(settings) === 'forward')
        await watch(settings, memory).catch((error: unknown) => failures.push(oneLine(error)));
    })();
    const isTaken = (): Promise<boolean> =>
      write().then(
        () => true,
        () => false,
      );
    try {
      await until(isTaken, { seconds: 20 });
      await until(async () =>
        (await standingProblems(context.state)).join().includes('table "public"."keyed" has other'),
      );
      await until(async () => failures.length > 0);
    } finally {
      rmSync(wanted);
      await running;
    }
  }

  test('a key that is altered costs the application no writes for as long as the target is away', () =>
    expectWritten('uuid USING md5(id::text)::uuid', { ...config, target: { ...config.target, port: 1 } }));

  test('nor for as long as the target is another one, with nothing of ours', async () => {
    const target = await context.connect('target');
    await target.query('ALTER SCHEMA ibex RENAME TO kept');
    try {
      await expectWritten('text', config);
    } finally {
      await target.query('ALTER SCHEMA kept RENAME TO ibex');
    }
  });
});

test('the hard limit holds without a sync also after a cutover that was refused, but not while one has stopped the writes', async () => {
  const { state } = context;
  const source = await context.connect('source');
  const full = { ...config, brake: { ...config.brake, queueMegabytes: 0.001 } };
  await ensureFenceSchema(source);
  await state.phaseStarted('cutover');
  await source.query(fenceFunction({ kind: 'until', deadline: '2000-01-01' }));
  await guardQueues(full);
  expect(await takenOff(state)).toBeUndefined();
  await source.query(fenceFunction({ kind: 'open' }));
  const moving = await migration.context('cutover');
  await claimMove(moving);
  await guardQueues(full);
  expect(await takenOff(state)).toBeUndefined();
  await moving.close();
  await state.phaseEnded('cutover', 'failed', 'a gate refused it');
  await until(async () => {
    await guardQueues(full);
    return takenOff(state);
  });
  const { rowCount } = await source.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`);
  expect(rowCount).toBe(0);
});

test('capture on the target that is not ours, such as that of another Bucardo, is left alone', async () => {
  const target = await context.connect('target');
  await target.query(
    'DROP SCHEMA ibex CASCADE; CREATE SCHEMA bucardo; CREATE TABLE bucardo.delta_public_item AS SELECT 1 AS id',
  );
  await guardQueues({ ...config, brake: { ...config.brake, queueMegabytes: 0.001 } });
  expect((await target.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(1);
});
