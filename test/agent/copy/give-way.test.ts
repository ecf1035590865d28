import { setTimeout as sleep } from 'node:timers/promises';
import { Brake } from '../../../assets/agent/brake/brake';
import { UNBRAKED } from '../../../assets/agent/brake/paced';
import { readRelations, serverVersion, type Relation } from '../../../assets/agent/catalog/relations';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { piecesOf } from '../../../assets/agent/copy/pieces';
import { pipe } from '../../../assets/agent/copy/pipe';
import { Schedule, type Chunk } from '../../../assets/agent/copy/schedule';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

/** Time between two looks of the brake; milliseconds. */
const LOOK_MS = 40;

const ROWS = 10_000;

const FILL = `
  CREATE TABLE large (id int PRIMARY KEY, filler text);
  INSERT INTO large SELECT i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i; ANALYZE`;

let copy: CopyTest;

beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

/** A copy under the brake, of one chunk that takes a minute. */
function braked(
  brake: { readonly pauseSessions?: number; readonly lockWaitMs?: number },
  maxBytesPerSecond: number,
  chunkMegabytes = 100,
  told: (context: Context) => void = () => undefined,
): Promise<PhaseOutcome> {
  const { config } = copy.migration;
  return copy.within(
    'copy',
    async (context) => {
      told(context);
      const own = Brake.open(context, LOOK_MS);
      context.brake = own;
      return copyAll(context, COPY_PROBES).finally(() => own.close());
    },
    {
      brake: { ...config.brake, ...brake },
      copy: { ...config.copy, jobs: 1, chunkMegabytes, maxBytesPerSecond },
    },
  );
}

/** Transactions of the copy that read a chunk, with its lock and snapshot. */
const reading = async (): Promise<number> =>
  (
    await copy.one<{ n: number }>(
      'source',
      `SELECT count(*)::int AS n FROM pg_stat_activity
       WHERE application_name = 'ibex copy' AND xact_start IS NOT NULL AND query LIKE 'COPY %'`,
    )
  ).n;

it('a TRUNCATE of an application has its table soon, and the copy takes the chunk again', async () => {
  await copy.prepare(FILL);
  const began = performance.now();
  const running = braked({}, 40_000);
  await until(async () => (await reading()) > 0);
  await copy.source.query('TRUNCATE large');
  expect(performance.now() - began).toBeLessThan(30_000);
  expect((await running).message).toMatch(/^0 rows of 1 tables copied/);
});

it('a chunk is given back while nothing may move for long, so that no snapshot is held, and copied after that', async () => {
  await copy.prepare(FILL);
  const busy = await copy.migration.admin('source');
  const running = braked({ pauseSessions: 1 }, 1_000_000);
  await until(async () => (await reading()) > 0);
  const work = busy.query('SELECT pg_sleep(600)').catch(() => undefined);
  await until(async () => (await reading()) === 0);
  const context = await copy.migration.context('copy');
  expect((await context.state.counters())['brake.paused']).toBeGreaterThanOrEqual(1);
  await copy.source.query(
    `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()`,
  );
  await work;
  expect((await running).message).toMatch(new RegExp(`^${ROWS} rows of 1 tables copied`));
  await busy.end();
});

describe('a table that an application locks all the time', () => {
  /** Locks it again as soon as it has had the lock, until it is stopped. */
  async function locking(): Promise<{ stop: () => Promise<number> }> {
    const client = await copy.migration.admin('source');
    const state = { stopped: false, locks: 0 };
    const done = (async () => {
      for (; !state.stopped; state.locks += 1) {
        // Rows of full pages go to a later one, so that they are read twice.
        await client.query(`BEGIN; LOCK TABLE large IN ACCESS EXCLUSIVE MODE;
          UPDATE large SET filler = filler || 'x' WHERE n < 1000 AND n / 30 = ${state.locks}; COMMIT`);
        await sleep(50);
      }
    })();
    return {
      stop: async () => {
        state.stopped = true;
        await done;
        await client.end();
        return state.locks;
      },
    };
  }

  it.each([
    ['one chunk, cut by pages', 'text', 100],
    ['chunks of pages', 'text', 1],
    ['chunks of keys', 'int', 1],
  ])(
    'is copied in ever smaller pieces: %s',
    async (_, type, chunkMegabytes) => {
      await copy.prepare(`
      CREATE TABLE large (id ${type} PRIMARY KEY, n int, filler text);
      INSERT INTO large SELECT i, i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i; ANALYZE`);
      const given: number[] = [];
      const running = braked({ lockWaitMs: 300 }, 800_000, chunkMegabytes, (context) => {
        jest
          .spyOn(context.log, 'warn')
          .mockImplementation((_fields, what) => void (what === 'given back' && given.push(1)));
      });
      await until(async () => (await reading()) > 0);
      const lock = await locking();
      expect((await running).message).toMatch(/ rows of 1 tables copied/);
      expect(await lock.stop()).toBeGreaterThan(given.length);
      expect(given.length).toBeGreaterThanOrEqual(3);
      const { rows } = await copy.target.query(
        'SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids FROM large WHERE n >= 1000',
      );
      expect(rows).toEqual([{ n: ROWS - 999, ids: ROWS - 999 }]);
    },
    120_000,
  );

  it('and rewrites is whole, although rows of it moved past pieces that were read', async () => {
    await copy.prepare(`
      CREATE TABLE large (id text PRIMARY KEY, n int, filler text);
      INSERT INTO large SELECT i, i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i; ANALYZE`);
    const running = braked({ lockWaitMs: 300 }, 800_000);
    await until(async () => (await reading()) > 0);
    for (let round = 0; round < 6; round += 1) {
      await copy.source.query(`DELETE FROM large WHERE n / 100 = ${round}`);
      await copy.source.query('VACUUM FULL large');
      await sleep(50);
    }
    await running;
    const { rows } = await copy.target.query('SELECT count(*)::int AS n FROM large WHERE n >= 1000');
    expect(rows).toEqual([{ n: ROWS - 999 }]);
  }, 60_000);

  /** All of it on one page, and longer than what goes out before the brake is looked at. */
  const LONG = `
    CREATE TABLE large (id int PRIMARY KEY, filler text); ALTER TABLE large ALTER filler SET STORAGE EXTERNAL;
    INSERT INTO large SELECT i, repeat('f', 2000000) FROM generate_series(1, 3) i; ANALYZE`;

  /** How often chunks were given back, and how often of these for somebody. */
  const counts = (): Promise<unknown[]> =>
    copy.within('test', async ({ state }) => {
      const { rows } = await state.client.query('SELECT given_back, waited FROM ibex.copy_chunk');
      return rows as unknown[];
    });

  it('and that no piece is small enough for, is named with who wants it', async () => {
    await copy.prepare(LONG);
    const waiter = 'pid 7 (shop, web): LOCK TABLE large';
    const failing = copy.within('copy', (context) => {
      context.brake = { ...UNBRAKED, wait: () => 200, waiter: () => waiter };
      return copyAll(context, COPY_PROBES);
    });
    await expect(failing).rejects.toThrow(
      /^rows of "public"."large" cannot be copied: its chunk was given back 10 times, .* at last pid 7 \(shop, web\): LOCK TABLE large; keep such statements away meanwhile, or raise brake.lockWaitMs.*; start copy again, it resumes$/,
    );
    expect((await copy.run()).message).toMatch(/^3 rows of 1 tables copied/);
  });

  it('once, after long pauses of the brake, is not given up for these', async () => {
    await copy.prepare(LONG);
    const { config } = copy.migration;
    const once = (context: Context): Promise<PhaseOutcome> => {
      let given = 0;
      jest.spyOn(context.log, 'warn').mockImplementation((_fields, what) => void (what === 'given back' && given++));
      context.brake = {
        ...UNBRAKED,
        wait: () => (given < 10 ? 200 : 0),
        longPause: () => (given < 9 ? 'the source is busy' : undefined),
        waiter: () => (given === 9 ? 'pid 7 (shop, web): LOCK TABLE large' : undefined),
      };
      return copyAll(context, COPY_PROBES);
    };
    const running = copy.within('copy', once, { copy: { ...config.copy, jobs: 1, chunkMegabytes: 100 } });
    expect((await running).message).toMatch(/^3 rows of 1 tables copied/);
    expect(await counts()).toEqual([{ given_back: 10, waited: 1 }]);
    // The next start counts anew who waits, also in a state that an Ibex has made that did not.
    await copy.within('copy', async ({ state }) => {
      await state.client.query('ALTER TABLE ibex.copy_chunk DROP COLUMN waited');
      await new Schedule(state.client).prepare();
    });
    expect(await counts()).toEqual([{ given_back: 1, waited: 0 }]);
  });
});

it('a chunk that is given back without an end, for pauses of the brake, is not cut into pieces without an end', async () => {
  await copy.prepare(FILL);
  const [large] = await readRelations(copy.source, copy.migration.config);
  const chunk = { part: { kind: 'key' }, givenBack: 60 } as unknown as Chunk;
  const pieces = await piecesOf(copy.source, large as Relation, chunk, await serverVersion(copy.source));
  expect(pieces).toHaveLength(512);
});

it('a COPY that is to end before it has begun does not begin', async () => {
  const [source, target] = await Promise.all([copy.migration.admin('source'), copy.migration.admin('target')]);
  await target.query('CREATE TEMP TABLE one (id int)');
  const options = { signal: AbortSignal.abort(new Error('capture is taken off')) };
  const piped = pipe(source, 'COPY (SELECT 1) TO STDOUT', target, 'COPY one FROM STDIN', options);
  await expect(piped).rejects.toThrow('capture is taken off');
});
