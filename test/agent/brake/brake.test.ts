import { mkdtempSync, rmSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { blindPace } from '../../../assets/agent/brake/blind';
import { Brake } from '../../../assets/agent/brake/brake';
import { QueueGrowth } from '../../../assets/agent/brake/queue-growth';
import { QueueSize, readQueueBytes } from '../../../assets/agent/brake/queue-size';
import { QueueWatch } from '../../../assets/agent/brake/queue-watch';
import { judge, readFreeBytes, readLoad, type HiddenWaits } from '../../../assets/agent/brake/readings';
import { capture } from '../../../assets/agent/capture';
import { Failure } from '../../../assets/agent/errors';
import { runPhase } from '../../../assets/agent/phase';
import { Spacing } from '../../../assets/agent/spacing';
import { NO_BRAKE } from '../../helpers/no-brake';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { until } from '../../helpers/until';

const LIMITS = {
  slowSessions: 2,
  pauseSessions: 4,
  lockWaitMs: 300,
  queueMegabytes: 0,
  queueGrowthMegabytes: 0,
  hostFreeMegabytes: 0,
};

/** Time between two looks of the brake; milliseconds. */
const LOOK_MS = 40;

describe('what follows from the readings', () => {
  const calm = { active: 0, lockWaits: [], queueBytes: 0, queueGrowth: 0, hostFreeBytes: 1e12 };
  const limits = { ...LIMITS, queueMegabytes: 1_000, queueGrowthMegabytes: 10, hostFreeMegabytes: 5 };
  const waiting = (ms: number) => ({ lockWaits: [{ ms, who: 'pid 7 (shop, web): TRUNCATE item', holders: [] }] });
  test.each([
    ['nothing', {}, 'free', ''],
    ['load under the limit', { active: 1 }, 'free', ''],
    ['some load', { active: 2 }, 'slow', '2 sessions are active on the source'],
    ['load under the second limit', { active: 3 }, 'slow', '3 sessions are active on the source'],
    ['much load', { active: 4 }, 'paused', '4 sessions are active on the source'],
    ['growth under the limit', { queueGrowth: 9.9e6 }, 'free', ''],
    ['fast growth', { queueGrowth: 10e6 }, 'slow', 'the captured changes grow by 10 MB a minute'],
    ['growth under twice the limit', { queueGrowth: 19.9e6 }, 'slow', 'grow by 20 MB a minute'],
    ['growth of twice the limit', { queueGrowth: 20e6 }, 'paused', 'the captured changes grow by 20 MB a minute'],
    ['a short wait for us', waiting(299), 'free', ''],
    ['a wait for us', { ...waiting(301), active: 9 }, 'yield', 'TRUNCATE item waits 301 ms for a lock of ours'],
    ['room on the host', { hostFreeBytes: 5e6 }, 'free', ''],
    ['a full host', { hostFreeBytes: 4e6 }, 'paused', '4 MB are free on the host'],
    ['queues under the limit', { queueBytes: 999e6 }, 'free', ''],
    ['long queues', { queueBytes: 2e9, active: 9 }, 'off', 'take 2000 MB of the source'],
  ])('%s', (_, readings, pace, reason) => {
    const verdict = judge({ ...calm, ...readings }, limits);
    expect([verdict.pace, verdict.reason]).toEqual([pace, expect.stringContaining(reason)]);
  });

  test('a limit of 0 is none', () => {
    const none = { slowSessions: 0, pauseSessions: 0, lockWaitMs: 0, queueMegabytes: 0, queueGrowthMegabytes: 0 };
    const worst = { active: 1e4, ...waiting(1e9), queueBytes: 1e15, queueGrowth: 1e12, hostFreeBytes: 0 };
    expect(judge(worst, { ...none, hostFreeMegabytes: 0 })).toEqual({ pace: 'free', reason: '' });
  });
});

describe('a source that cannot be seen', () => {
  const failure = (code: string): Failure => new Failure('cannot connect to source', { cause: { code } });
  test.each([
    ['for a moment', '53300', 2, undefined],
    ['since it takes no more sessions', '53300', 3, 'paused'],
    ['since it takes none for minutes', '53300', 599, 'paused'],
    ['since it is full, maybe of our own', '53300', 600, 'slow'],
    ['since nothing listens', 'ECONNREFUSED', 3, 'paused'],
    ['since it is gone', 'ECONNREFUSED', 60, 'free'],
  ])('%s', (_, code, looks, pace) => expect(blindPace(looks, failure(code))).toBe(pace));
});

describe('the growth of the captured changes', () => {
  const grow = (sizes: readonly number[], everyMs = 5_000): number[] => {
    const growth = new QueueGrowth();
    return sizes.map((bytes, i) => growth.add(bytes, i * everyMs));
  };

  test('is not judged by one burst, then told for a minute, and forgotten after it', () => {
    expect(grow([0, 50, 50, 50, 50])).toEqual([0, 0, 0, 200, 150]);
    expect(grow([0, ...Array.from({ length: 13 }, () => 50)]).slice(-2)).toEqual([50, 0]);
  });

  test('is told over the last four readings where those are a minute apart', () => {
    expect(grow([0, 60, 60, 60, 60, 60], 60_000)).toEqual([0, 0, 0, 20, 0, 0]);
  });

  test('is none where they shrink', () => expect(grow([90, 80, 70, 60])).toEqual([0, 0, 0, 0]));
});

/** Writers of the application, each always in the midst of a statement, and what they met. */
class Writers {
  writes = 0;
  readonly errors: unknown[] = [];
  private readonly stopping = new AbortController();
  private readonly all: Promise<void>[] = [];

  constructor(
    private readonly migration: TestMigration,
    private readonly statement: string,
  ) {}

  async add(count: number): Promise<void> {
    const clients = await Promise.all(Array.from({ length: count }, () => this.migration.admin('source')));
    this.all.push(...clients.map((client) => this.write(client)));
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.all);
  }

  private async write(client: Client): Promise<void> {
    while (!this.stopping.signal.aborted) {
      try {
        await client.query(this.statement);
      } catch (error) {
        this.errors.push(error);
        // A session that has ended refuses at once, for ever.
        await sleep(20);
      }
      this.writes += 1;
    }
    await client.end();
  }
}

describe('the brake on a living source', () => {
  let migration: TestMigration;
  let source: Client;

  beforeAll(async () => {
    migration = await startMigration();
    source = await migration.admin('source');
    await source.query(
      'CREATE TABLE public.item (id serial PRIMARY KEY, v int); INSERT INTO public.item VALUES (0, 0)',
    );
    await source.query('CREATE TABLE public.other (id int PRIMARY KEY)');
    await capture.run(await migration.context('capture'));
  });
  afterAll(() => migration.stop());

  /** Work whose pieces ask the brake, as a copy does: how many it has done. */
  function worker(brake: Brake) {
    const stopping = new AbortController();
    const work = { pieces: 0, done: Promise.resolve() };
    work.done = (async () => {
      while (!stopping.signal.aborted) {
        await brake.clear();
        await sleep(5 + Math.min(50, brake.wait()));
        if (brake.pace !== 'paused' && brake.pace !== 'yield') work.pieces += 1;
      }
    })();
    return {
      pieces: () => work.pieces,
      stop: async () => {
        stopping.abort();
        await brake.close();
        await work.done;
      },
    };
  }
  const open = async (limits: Partial<typeof LIMITS>): Promise<Brake> =>
    Brake.open(await migration.context('copy', { brake: { ...NO_BRAKE, ...limits } }), LOOK_MS);

  test('slows, then stands still while writers are busy, and goes on when they are not', async () => {
    const brake = await open({ slowSessions: 2, pauseSessions: 4 });
    const writers = new Writers(migration, 'INSERT INTO public.item (v) SELECT length(pg_sleep(0.3)::text)');
    await writers.add(2);
    await until(() => brake.pace === 'slow');
    brake.wait();
    await sleep(30);
    expect(brake.wait()).toBeGreaterThanOrEqual(25);
    const work = worker(brake);
    await writers.add(3);
    await until(() => brake.pace === 'paused');
    expect(brake.wait()).toBe(1_000);
    await writers.stop();
    const before = work.pieces();
    await until(() => brake.pace === 'free' && work.pieces() > before);
    expect([writers.errors, writers.writes > 0]).toEqual([[], true]);
    await work.stop();
  });

  test('slows, or stands still, while captured changes grow fast, and goes on when they do not any more', async () => {
    const brake = await open({ queueGrowthMegabytes: 60 });
    const work = worker(brake);
    const writers = new Writers(migration, 'INSERT INTO public.item (v) SELECT 1 FROM generate_series(1, 3000)');
    await writers.add(1);
    await until(() => brake.pace !== 'free');
    // Held up, what applies the changes would only let them grow to the hard limit.
    expect(brake.draining.pace).toBe('free');
    await writers.stop();
    const before = work.pieces();
    await until(() => brake.pace === 'free' && work.pieces() > before);
    expect(writers.errors).toEqual([]);
    await work.stop();
  });

  test('begins nothing while somebody waits for a lock of ours, tells its holder alone, and goes on when nobody does', async () => {
    const brake = await open({ lockWaitMs: 100 });
    const work = worker(brake);
    const holder = await migration.admin('source');
    await holder.query(`SET application_name = 'ibex copy'; BEGIN; LOCK TABLE public.item IN SHARE MODE`);
    const { rows } = await holder.query('SELECT pg_backend_pid() AS pid');
    const { pid } = rows[0] as { pid: number };
    const writers = new Writers(migration, 'INSERT INTO public.item (v) VALUES (1)');
    await writers.add(1);
    await until(() => brake.pace === 'yield');
    expect([brake.draining.pace, brake.draining.waiter(pid)]).toEqual(['yield', brake.waiter(pid)]);
    expect(brake.waiter(pid)).toMatch(/^pid \d+ \(postgres, \): INSERT INTO public.item/);
    expect(brake.waiter('ibex copy')).toBe(brake.waiter(pid));
    expect([brake.waiter(pid + 1), brake.waiter('ibex pg_dump')]).toEqual([undefined, undefined]);
    await holder.query('ROLLBACK');
    const before = work.pieces();
    await until(() => brake.pace === 'free' && work.pieces() > before);
    expect(brake.waiter(pid)).toBeUndefined();
    await writers.stop();
    expect(writers.errors).toEqual([]);
    await holder.end();
    await work.stop();
  });

  test('a pause is long from its eleventh look on, and over with the first look that finds none', async () => {
    const brake = await open({ pauseSessions: 1 });
    const looks = jest.spyOn(brake as unknown as { look: () => Promise<void> }, 'look');
    const writers = new Writers(migration, 'INSERT INTO public.item (v) SELECT length(pg_sleep(0.3)::text)');
    await writers.add(2);
    await until(() => brake.pace === 'paused');
    expect(brake.longPause()).toBeUndefined();
    await until(() => brake.longPause() !== undefined);
    expect(looks.mock.calls.length).toBeGreaterThanOrEqual(10);
    expect(brake.longPause()).toMatch(/sessions are active on the source$/);
    await writers.stop();
    await until(() => brake.pace === 'free');
    expect(brake.longPause()).toBeUndefined();
    await brake.close();
  });

  test('measures all queues at first, then a table at a look, and none at a look before ten times as long is over', async () => {
    let now = 0;
    let asked = 0;
    const slow = {
      query: (text: string, values: unknown[]) => {
        now += 100;
        asked += 1;
        return source.query(text, values);
      },
    } as unknown as Client;
    const tables = await source.query(
      `SELECT FROM pg_class WHERE relkind = 'r' AND relnamespace = 'bucardo'::regnamespace`,
    );
    const pieces = (tables.rowCount ?? 0) + 1;
    const queues = new QueueWatch(new QueueSize(1), new Spacing(() => now));
    const first = await queues.look(slow);
    expect([first.queueBytes, asked]).toEqual([await readQueueBytes(source), pieces]);
    await source.query('INSERT INTO public.item (v) SELECT 1 FROM generate_series(1, 3000)');
    now += pieces * 1_000;
    let [looks, found] = [0, first];
    while (found === first) {
      now += 500;
      looks += 1;
      found = await queues.look(slow);
    }
    expect([asked, looks >= 2 * pieces]).toEqual([2 * pieces, true]);
    expect(found.queueBytes).toBeGreaterThan(first.queueBytes);
  });

  test('stands still while the disk of the host is nearly full, and goes on when there is room', async () => {
    const stateDirectory = mkdtempSync(join('/dev/shm', 'ibex-brake-'));
    try {
      // Half of the file is for what others do on that disk meanwhile.
      const hostFreeMegabytes = (await readFreeBytes(stateDirectory)) / 1e6 - 400;
      const { host } = migration.config;
      const limits = { host: { ...host, stateDirectory }, brake: { ...NO_BRAKE, hostFreeMegabytes } };
      const brake = Brake.open(await migration.context('copy', limits), LOOK_MS);
      const work = worker(brake);
      await until(() => work.pieces() > 3);
      execFileSync('fallocate', ['-l', '800M', join(stateDirectory, 'dump')]);
      await until(() => brake.pace === 'paused');
      rmSync(join(stateDirectory, 'dump'));
      const before = work.pieces();
      await until(() => brake.pace === 'free' && work.pieces() > before);
      await work.stop();
    } finally {
      rmSync(stateDirectory, { recursive: true });
    }
  });

  test('sees that somebody waits for a lock of ours, and not for one of others', async () => {
    const holder = await migration.admin('source');
    const writer = await migration.admin('source');
    await holder.query('BEGIN; LOCK TABLE public.item IN SHARE MODE');
    const waiting = writer.query('UPDATE public.item SET v = v + 1');
    await until(async () => (await source.query(`SELECT FROM pg_locks WHERE NOT granted`)).rowCount === 1);
    expect((await readLoad(source)).lockWaits).toEqual([]);
    await holder.query(`SET application_name = 'ibex copy'`);
    await until(async () => ((await readLoad(source)).lockWaits[0]?.ms ?? 0) > 50);
    await holder.query('ROLLBACK');
    await waiting;
    expect((await readLoad(source)).lockWaits).toEqual([]);
    await Promise.all([holder.end(), writer.end()]);
  });

  test('sees it too with a login that may not see what others do, from the first look on that finds it', async () => {
    const holder = await migration.admin('source');
    const writer = await migration.admin('source');
    const plain = await migration.admin('source');
    await plain.query('CREATE ROLE plain; SET ROLE plain');
    await holder.query(`SET application_name = 'ibex copy'; BEGIN; LOCK TABLE public.item IN SHARE MODE`);
    const waiting = writer.query('UPDATE public.item SET v = v + 1');
    const hidden: HiddenWaits = new Map();
    const [first] = await until(async () => {
      const { lockWaits } = await readLoad(plain, hidden);
      return lockWaits.length > 0 ? lockWaits : undefined;
    });
    expect(first).toMatchObject({
      ms: 0,
      who: expect.stringMatching(/^pid \d+ \(postgres, \), whose statement is hidden from our login,$/),
      holders: [{ application: 'ibex copy' }],
    });
    await until(async () => ((await readLoad(plain, hidden)).lockWaits[0]?.ms ?? 0) > 50);
    await holder.query('ROLLBACK');
    await waiting;
    expect([(await readLoad(plain, hidden)).lockWaits, hidden.size]).toEqual([[], 0]);
    await plain.query('RESET ROLE; DROP ROLE plain');
    await Promise.all([holder.end(), writer.end(), plain.end()]);
  });

  test('stands still while the source takes no more sessions, says so, and goes on when it does', async () => {
    const owner = await migration.source.connect();
    const brake = await open({});
    const work = worker(brake);
    await until(() => work.pieces() > 3);
    await owner.query('ALTER ROLE mover NOSUPERUSER CONNECTION LIMIT 0');
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ibex brake'`;
    await until(async () => (await owner.query(end)).rowCount === 0 && brake.pace === 'paused');
    expect(brake.draining.pace).toBe('paused');
    await until(() => brake.longPause() !== undefined);
    expect(brake.longPause()).toMatch(/^the brake cannot see the source: .*too many connections for role "mover"$/);
    await owner.query('ALTER ROLE mover SUPERUSER CONNECTION LIMIT -1');
    const before = work.pieces();
    await until(() => brake.pace === 'free' && work.pieces() > before);
    await owner.end();
    await work.stop();
  });

  test('takes capture off at the hard limit; writers see no error, and every phase refuses', async () => {
    const context = await migration.context('dump', { brake: { ...NO_BRAKE, queueMegabytes: 5 } });
    const writers = new Writers(migration, 'INSERT INTO public.item (v) SELECT 1 FROM generate_series(1, 500)');
    await writers.add(4);
    const open = Brake.open(context, LOOK_MS);
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
    const before = writers.writes;
    await until(() => writers.writes > before + 12);
    await writers.stop();
    expect(writers.errors).toEqual([]);
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
