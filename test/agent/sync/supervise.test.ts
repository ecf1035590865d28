import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { takenOff } from '../../../assets/agent/brake/capture-off';
import { capture } from '../../../assets/agent/capture';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { claimMove } from '../../../assets/agent/cutover/claim';
import { ensureFenceSchema, fenceFunction } from '../../../assets/agent/fence/objects';
import { prepareLeases } from '../../../assets/agent/lease';
import { Heartbeats, type SeenLag } from '../../../assets/agent/sync/beat';
import type { Trouble } from '../../../assets/agent/sync/facts';
import { prepareHeartbeats } from '../../../assets/agent/sync/heartbeat';
import { SupervisorMemory } from '../../../assets/agent/sync/memory';
import { guardQueues, watch } from '../../../assets/agent/sync/supervise';
import { wantedDirection } from '../../../assets/agent/sync/supervisor-job';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';

let migration: TestMigration;
let config: AgentConfig;
let context: Context;

beforeAll(async () => {
  migration = await startMigration();
  // A Bucardo that never starts.
  config = { ...migration.config, host: { ...migration.config.host, bucardo: '/bin/false' } };
  for (const end of ['source', 'target'] as const) {
    const client = await migration.admin(end);
    await client.query('CREATE TABLE public.item (id int PRIMARY KEY, v int)');
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
