import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Brake } from '../../../assets/agent/brake/brake';
import { mendQueues } from '../../../assets/agent/capture/mend-queues';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { copyTerms, runWorkers } from '../../../assets/agent/copy/beside';
import { Lease } from '../../../assets/agent/lease';
import { asNoted, COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { RICH_ROWS, RICH_SCHEMA } from '../../helpers/rich-schema';
import { NO_BRAKE } from '../../helpers/no-brake';
import { intercept } from '../catch-up/moving';

/** Tables that are cut: one that is read by its key, one by pages, and one of each text format. */
const LARGE = `
  CREATE TYPE public.pair AS (a int, b text);
  CREATE TABLE public.ordered (id int PRIMARY KEY, n numeric, at timestamptz, note text);
  CREATE TABLE public.scattered (id text PRIMARY KEY, n int, filler text);
  CREATE TABLE public.textual (id int PRIMARY KEY, p public.pair, pairs public.pair[]);
  INSERT INTO ordered SELECT i, i / 7.0, timestamptz '2020-01-01' + i * interval '1 minute', repeat('n', i % 200) FROM generate_series(1, 20000) i;
  INSERT INTO scattered SELECT md5(i::text), i, repeat('f', i % 200) FROM generate_series(1, 20000) i;
  INSERT INTO textual SELECT i, ROW(i, E'tab\\t')::public.pair, ARRAY[ROW(1, NULL)::public.pair] FROM generate_series(1, 2000) i;
  ANALYZE;`;

const TABLES = [
  '"my App"."Order"',
  '"my App".line',
  'sales.booking',
  'sales.event_1',
  'sales.event_2',
  'public.plain',
  'public.ordered',
  'public.scattered',
  'public.textual',
];

let copy: CopyTest;

beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

/** Every row of a table as text. Floats go by their bytes, since servers before 12 write them otherwise. */
async function contents(client: Client, table: string): Promise<string[]> {
  await client.query(`SET TimeZone = 'UTC'; SET bytea_output = 'hex'`);
  const order = `ROW(id, "select", mood, share, tags, data, raw, price, float8send(f), touched, code, mail, mails)::text`;
  const row = table === TABLES[0] ? order : 't::text';
  const { rows } = await client.query(`SELECT ${row} AS row FROM ONLY ${table} t`);
  return (rows as { row: string }[]).map((each) => each.row).sort();
}

async function expectEqual(tables: readonly string[] = TABLES): Promise<void> {
  for (const table of tables) {
    const expected = await contents(copy.source, table);
    expect([table, expected.length > 0]).toEqual([table, true]);
    const found = await contents(copy.target, table);
    expect([table, found.length]).toEqual([table, expected.length]);
    expect(found).toEqual(expected);
  }
}

const chunks = (): Promise<{ n: number; rows: number }> =>
  copy.one('target', 'SELECT count(*)::int AS n, coalesce(sum(rows), 0)::int AS rows FROM ibex.chunk');

/** A context whose sessions fail at the nth statement that begins so, as if the program were killed there. */
async function dyingAt(end: 'source' | 'target', start: string, nth: number): Promise<Context> {
  const context = await copy.migration.context('copy', {
    copy: { ...copy.migration.config.copy, chunkMegabytes: 0.2, jobs: 1, indexJobs: 1 },
  });
  const connect = context.connect.bind(context);
  let seen = 0;
  context.connect = async (which, purpose) => {
    const client = await connect(which, purpose);
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const [first] = args as [string | { text?: string }];
      const text = typeof first === 'string' ? first : (first.text ?? '');
      if (which === end && text.trim().startsWith(start) && (seen += 1) >= nth) throw new Error('killed');
      return query(...args);
    }) as typeof client.query;
    return client;
  };
  return context;
}

describe('a copy of a database such as applications have', () => {
  beforeAll(() => copy.prepare(RICH_SCHEMA + RICH_ROWS + LARGE), 60_000);

  const all = 4209 + 42_000;

  it.each([
    ['target', 'BEGIN; SET LOCAL', 3],
    ['target', 'INSERT INTO ibex.chunk', 4],
    ['target', 'COMMIT', 6],
    ['source', 'COMMIT', 2],
  ] as const)('keeps what was done when it dies on the %s at %s', async (end, start, nth) => {
    const before = await copy.chunks();
    const dying = await dyingAt(end, start, nth);
    await expect(copyAll(dying, COPY_PROBES)).rejects.toThrow('killed');
    await dying.close();
    expect(await copy.chunks()).toBeGreaterThanOrEqual(before);
  });

  it('goes on where it was, to the end', async () => {
    const { message, result } = await copy.run();
    expect(message).toMatch(/^46209 rows of 9 tables copied, \d+ indexes built$/);
    expect(result).toMatchObject({ tables: 9, rows: all });
    await expectEqual();
  });

  it('has copied no chunk twice and lost none, and each in the transaction that noted it', async () => {
    expect(await chunks()).toMatchObject({ rows: all });
    const { n } = await copy.one<{ n: number }>(
      'target',
      `SELECT count(*)::int AS n FROM ibex.chunk WHERE relation_name IN ('ordered', 'scattered')`,
    );
    expect(n).toBeGreaterThan(20);
    for (const table of TABLES)
      expect([table, await copy.written(table)]).toEqual([table, asNoted(await copy.notes(table))]);
    const context = await copy.migration.context('copy');
    expect(await context.state.counters()).toEqual({ 'rows.copy': all });
  });

  it('builds keys and plain indexes, leaves the others, and has statistics', async () => {
    const { rows } = await copy.target.query(
      `SELECT indexname FROM pg_indexes WHERE schemaname IN ('my App', 'public')`,
    );
    const names = (rows as { indexname: string }[]).map((row) => row.indexname);
    expect(names).toEqual(expect.arrayContaining(['Order_pkey', 'scattered_pkey', 'Order by tag', 'Order price']));
    expect(names).not.toEqual(expect.arrayContaining(['Order_code_key']));
    expect(await copy.one('target', `SELECT reltuples FROM pg_class WHERE relname = 'scattered'`)).toEqual({
      reltuples: 20_000,
    });
  });

  it('has nothing to do when it is started again', async () => {
    expect((await copy.run()).result).toMatchObject({ rows: all, indexes: 0 });
  });
});

describe('a copy while the application writes', () => {
  beforeAll(() => copy.prepare(LARGE), 60_000);

  it('and catch-up end with equal rows, though rows were read twice, or not at all', async () => {
    const state = { running: true };
    const writer = await copy.migration.admin('source');
    const write = async (): Promise<void> => {
      for (let i = 1; state.running; i += 1) {
        await writer.query(`
          UPDATE scattered SET filler = filler || 'longer, so that it moves', n = n + 1 WHERE n % 400 = ${i % 400};
          UPDATE ordered SET id = -id WHERE id % 1000 = ${i % 1000};
          DELETE FROM scattered WHERE n % 5003 = ${i};
          INSERT INTO scattered VALUES (md5('new ${i}'), ${i}, 'new'), (md5('other ${i}'), ${i}, 'new');
          INSERT INTO ordered VALUES (${1_000_000 + i}, 1, now(), 'new')`);
      }
    };
    const writing = write();
    await copy.run({ maxBytesPerSecond: 1_500_000 });
    state.running = false;
    await writing;
    const { gone } = await copy.one<{ gone: number }>(
      'target',
      `SELECT (SELECT sum(rows) FROM ibex.chunk WHERE relation_name = 'scattered')::int - count(*)::int AS gone FROM scattered`,
    );
    expect(gone).toBeGreaterThan(0);
    await copy.catchUp();
    await expectEqual(['public.ordered', 'public.scattered', 'public.textual']);
  });
});

describe('a table whose key is altered while it is copied by pages', () => {
  beforeAll(() => copy.prepare(LARGE), 60_000);

  /** Moves rows that were read behind those that are left, and alters the key, for which their queue is made anew. */
  async function moveAndAlter(): Promise<void> {
    const owner = await copy.migration.admin('source');
    await owner.query(`
      UPDATE scattered SET filler = filler || 'longer, so that it moves' WHERE ctid < '(3,0)';
      ALTER TABLE scattered ALTER id TYPE varchar`);
    await owner.end();
    await copy.within('sync', async (context) => {
      const source = await context.connect('source');
      const [line] = await mendQueues(context, source, await readRelations(source, context.config));
      expect(line).toContain('its queue was made anew, and the table is copied anew by catch-up');
    });
  }

  it('is left empty, since its rows that were read twice are known no more, gets its key, and is brought by catch-up', async () => {
    let chunks = 0;
    const run = copy.within(
      'copy',
      async (context) => {
        const connect = context.connect.bind(context);
        context.connect = async (end, purpose) =>
          intercept(await connect(end, purpose), (text) => {
            if (!text.startsWith('BEGIN READ ONLY; LOCK TABLE ONLY "public"."scattered"')) return undefined;
            chunks += 1;
            return chunks === 2 ? moveAndAlter() : undefined;
          });
        return copyAll(context, COPY_PROBES);
      },
      { copy: { ...copy.migration.config.copy, chunkMegabytes: 0.2, jobs: 1 } },
    );
    await expect(run).rejects.toThrow(/^[^;]*it was altered while it was copied; make both alike$/);
    expect(chunks).toBeGreaterThan(2);
    expect(await copy.count('scattered')).toBe(0);
    await copy.target.query('ALTER TABLE scattered ALTER id TYPE varchar');
    await copy.run();
    await copy.catchUp();
    await expectEqual(['public.scattered']);
  });
});

describe('a copy by several', () => {
  beforeEach(() => copy.prepare(LARGE), 60_000);
  const tables = ['public.ordered', 'public.scattered', 'public.textual'];

  it('is shared: each chunk is copied by one of them', async () => {
    const took = new Map<string, number>();
    const beside = (): Promise<void> =>
      copy.within('copy-worker', async (context) => {
        context.log.info = ((_fields: unknown, text: string) => {
          if (text === 'copied') took.set('beside', (took.get('beside') ?? 0) + 1);
        }) as typeof context.log.info;
        const end = await context.connect('source');
        const relations = await readRelations(end, context.config);
        const generation = (await context.state.fact<string>('copy.lease')) as string;
        await runWorkers(context, await copyTerms(context, end, relations, Lease.shared('copy', generation)));
      });
    const { result } = await copy.run({ processes: 2, maxBytesPerSecond: 4_000_000 }, { startBeside: beside });
    expect(result).toMatchObject({ rows: 42_000 });
    const { n } = await chunks();
    expect(took.get('beside')).toBeGreaterThan(0);
    expect(took.get('beside')).toBeLessThan(n);
    await expectEqual(tables);
  });

  it('goes on when one of them dies', async () => {
    const startBeside = (): Promise<void> => Promise.reject(new Error('copy-worker was ended by SIGKILL'));
    await copy.run({ processes: 2 }, { startBeside });
    await expectEqual(tables);
  });

  it('shuts out one of yesterday, which writes nothing and stops', async () => {
    await copy.within(
      'copy',
      async (stale) => {
        const client = await stale.connect('target');
        const end = await stale.connect('source');
        const relations = await readRelations(end, stale.config);
        const running = copyAll(stale, COPY_PROBES);
        while ((await copy.chunks()) === 0) await sleep(20);
        await Lease.take(client, 'copy', relations);
        await expect(running).rejects.toThrow(/belongs to copy .* another run has taken over; nothing was written/);
      },
      { copy: { ...copy.migration.config.copy, chunkMegabytes: 0.2, maxBytesPerSecond: 500_000 } },
    );
    const before = await chunks();
    await sleep(300);
    expect(await chunks()).toEqual(before);
    await copy.run();
    expect(await chunks()).toMatchObject({ rows: 42_000 });
    await expectEqual(tables);
  });
});

describe('the source', () => {
  beforeEach(() => copy.prepare(LARGE), 60_000);

  it('is read no faster than the limit', async () => {
    const began = performance.now();
    await copy.run({ maxBytesPerSecond: 2_000_000 });
    const { bytes } = await copy.one<{ bytes: number }>('target', 'SELECT sum(bytes)::float8 AS bytes FROM ibex.chunk');
    const seconds = (performance.now() - began) / 1000;
    expect(bytes / seconds).toBeLessThan(2_100_000);
    expect(seconds).toBeGreaterThan(1.5);
  });

  it('has no snapshot held longer than a chunk takes', async () => {
    let oldest = 0;
    const state = { running: true };
    const watch = async (): Promise<void> => {
      while (state.running) {
        const { age } = await copy.one<{ age: number }>(
          'source',
          `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS age FROM pg_stat_activity
           WHERE application_name LIKE 'ibex %' AND backend_xmin IS NOT NULL`,
        );
        oldest = Math.max(oldest, age);
        await sleep(10);
      }
    };
    const watching = watch();
    const began = performance.now();
    await copy.run({ maxBytesPerSecond: 1_500_000, jobs: 1 });
    const seconds = (performance.now() - began) / 1000;
    state.running = false;
    await watching;
    expect(oldest).toBeGreaterThan(0);
    expect(oldest).toBeLessThan(seconds / 4);
  });

  it('is spared within a chunk while many are at work there: the COPY under way slows to a trickle, and goes on', async () => {
    const running = copy.within(
      'copy',
      async (context) => {
        const brake = Brake.open(context);
        context.brake = brake;
        return copyAll(context, COPY_PROBES).finally(() => brake.close());
      },
      {
        brake: { ...NO_BRAKE, pauseSessions: 3 },
        copy: { ...copy.migration.config.copy, jobs: 1, chunkMegabytes: 100, maxBytesPerSecond: 700_000 },
      },
    );
    const underWay = (): Promise<{ copies: number; bytes: number }> =>
      copy.one(
        'target',
        'SELECT count(*)::int AS copies, coalesce(sum(bytes_processed), 0)::float8 AS bytes FROM pg_stat_progress_copy',
      );
    while ((await underWay()).bytes === 0) await sleep(10);
    const busy = await Promise.all([1, 2, 3].map(() => copy.migration.admin('source')));
    const work = busy.map((client) => client.query('SELECT pg_sleep(600)').catch(() => undefined));
    let [before, after] = [await underWay(), await underWay()];
    do {
      before = await underWay();
      await sleep(1_000);
      after = await underWay();
      expect([before.copies, after.copies]).toEqual([1, 1]);
    } while (after.bytes - before.bytes > 300_000);
    await copy.source.query(
      `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()`,
    );
    await Promise.all(work);
    expect((await running).result).toMatchObject({ rows: 42_000 });
    await Promise.all(busy.map((client) => client.end()));
  });
});
