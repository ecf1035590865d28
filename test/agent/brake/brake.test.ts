import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Brake } from '../../../assets/agent/brake/brake';
import { judge, readLoad } from '../../../assets/agent/brake/readings';
import { capture } from '../../../assets/agent/capture';
import { runPhase } from '../../../assets/agent/phase';
import { startMigration, type TestMigration } from '../../helpers/migration';

const LIMITS = { slowSessions: 2, pauseSessions: 4, lockWaitMs: 300, queueMegabytes: 0, hostFreeMegabytes: 0 };

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

describe('what follows from the readings', () => {
  const calm = { active: 0, lockWaitMs: 0, queueBytes: 0, hostFreeBytes: 1e12 };
  test.each([
    ['nothing', {}, 'free', ''],
    ['some load', { active: 2 }, 'slow', '2 sessions are active on the source'],
    ['much load', { active: 4 }, 'paused', '4 sessions are active on the source'],
    ['a wait for us', { lockWaitMs: 301 }, 'paused', 'waits 301 ms for a lock of ours'],
    ['a full host', { hostFreeBytes: 4e6 }, 'paused', '4 MB are free on the host'],
    ['long queues', { queueBytes: 2e9, active: 9 }, 'off', 'take 2000 MB of the source'],
  ])('%s', (_, readings, pace, reason) => {
    const verdict = judge({ ...calm, ...readings }, { ...LIMITS, queueMegabytes: 1_000, hostFreeMegabytes: 5 });
    expect([verdict.pace, verdict.reason]).toEqual([pace, expect.stringContaining(reason)]);
  });
});

describe('the brake on a living source', () => {
  let migration: TestMigration;
  let source: Client;

  beforeAll(async () => {
    migration = await startMigration();
    source = await migration.admin('source');
    await source.query('CREATE TABLE public.item (id int PRIMARY KEY, v int); INSERT INTO public.item VALUES (1, 0)');
    await source.query('CREATE TABLE public.other (id int PRIMARY KEY)');
    await capture.run(await migration.context('capture'));
  });
  afterAll(() => migration.stop());

  test('slows, then pauses while sessions of others are busy, and goes on when they are not', async () => {
    const brake = Brake.open(await migration.context('copy', { brake: LIMITS }));
    const busy: { client: Client; work: Promise<unknown> }[] = [];
    const add = async (): Promise<void> => {
      const client = await migration.admin('source');
      busy.push({ client, work: client.query('SELECT pg_sleep(600)').catch(() => undefined) });
    };
    await Promise.all([add(), add()]);
    await until(() => brake.pace === 'slow');
    brake.wait();
    await sleep(30);
    expect(brake.wait()).toBeGreaterThanOrEqual(25);
    await Promise.all([add(), add()]);
    await until(() => brake.pace === 'paused');
    expect(brake.wait()).toBe(1_000);
    let clear = false;
    const cleared = brake.clear().then(() => (clear = true));
    await sleep(300);
    expect(clear).toBe(false);
    const { rows } = await source.query(
      `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()`,
    );
    expect(rows).toHaveLength(4);
    await cleared;
    expect(brake.pace).toBe('free');
    await brake.close();
    await Promise.all(busy.map(({ client }) => client.end()));
  });

  test('sees that somebody waits for a lock of ours, and not for one of others', async () => {
    const holder = await migration.admin('source');
    const writer = await migration.admin('source');
    await holder.query('BEGIN; LOCK TABLE public.item IN SHARE MODE');
    const waiting = writer.query('UPDATE public.item SET v = v + 1');
    await until(async () => (await source.query(`SELECT FROM pg_locks WHERE NOT granted`)).rowCount === 1);
    expect((await readLoad(source)).lockWaitMs).toBe(0);
    await holder.query(`SET application_name = 'ibex copy'`);
    await until(async () => (await readLoad(source)).lockWaitMs > 50);
    await holder.query('ROLLBACK');
    await waiting;
    expect((await readLoad(source)).lockWaitMs).toBe(0);
    await Promise.all([holder.end(), writer.end()]);
  });

  test('takes capture off at the hard limit; writers see no error, and every phase refuses', async () => {
    const brake = { ...LIMITS, slowSessions: 0, pauseSessions: 0, queueMegabytes: 1 };
    const context = await migration.context('dump', { brake });
    const errors: unknown[] = [];
    const state = { writes: 0, on: true };
    const writer = await migration.admin('source');
    const writing = (async () => {
      while (state.on) {
        await writer
          .query(
            `INSERT INTO public.item SELECT coalesce(max(id), 0) + i FROM public.item, generate_series(1, 500) i GROUP BY i`,
          )
          .catch((error: unknown) => errors.push(error));
        state.writes += 1;
      }
    })();
    const open = Brake.open(context);
    await expect(
      (async () => {
        for (;;) {
          await open.clear();
          await sleep(20);
        }
      })(),
    ).rejects.toThrow(
      /capture was taken off because the captured changes take \d+ MB .*; run cleanup and migrate again/,
    );
    await open.close();
    const before = state.writes;
    await until(() => state.writes > before + 3);
    state.on = false;
    await writing;
    await writer.end();
    expect(errors).toEqual([]);
    const { rows } = await source.query(`
      SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'bucardo%')::int AS triggers,
        (SELECT count(*) FROM pg_namespace WHERE nspname = 'bucardo')::int AS schemas`);
    expect(rows).toEqual([{ triggers: 0, schemas: 0 }]);
    expect((await context.state.counters())['brake.off']).toBe(1);
    expect((await context.state.allEvidence()).some(({ gate }) => gate === 'capture taken off')).toBe(true);
    for (const name of ['capture', 'dump', 'sync', 'verify']) {
      const phase = { name, after: [], once: false, run: () => Promise.resolve({ message: '' }) };
      await expect(runPhase(migration.config, phase)).rejects.toThrow('capture was taken off because');
    }
  });

  test('a removal that was interrupted is finished by the next phase, before it refuses', async () => {
    await migration.fresh();
    source = await migration.admin('source');
    await source.query('CREATE TABLE public.item (id int PRIMARY KEY)');
    const context = await migration.context('capture');
    await capture.run(context);
    await context.state.setFact('capture.off', { reason: 'a test says so' });
    const phase = { name: 'copy', after: [], once: false, run: () => Promise.resolve({ message: '' }) };
    await expect(runPhase(migration.config, phase)).rejects.toThrow('capture was taken off because a test says so');
    expect((await source.query(`SELECT FROM pg_trigger WHERE tgname LIKE 'bucardo%'`)).rowCount).toBe(0);
  });
});
