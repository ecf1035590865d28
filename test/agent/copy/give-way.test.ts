import { setTimeout as sleep } from 'node:timers/promises';
import { Brake } from '../../../assets/agent/brake/brake';
import { copyAll } from '../../../assets/agent/copy';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';

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
function braked(brake: { readonly pauseSessions?: number }, maxBytesPerSecond: number): Promise<PhaseOutcome> {
  const { config } = copy.migration;
  return copy.within(
    'copy',
    async (context) => {
      const own = Brake.open(context, LOOK_MS);
      context.brake = own;
      return copyAll(context, COPY_PROBES).finally(() => own.close());
    },
    {
      brake: { ...config.brake, ...brake },
      copy: { ...config.copy, jobs: 1, chunkMegabytes: 100, maxBytesPerSecond },
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

const until = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20);
};

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
  expect((await context.state.counters())['brake.paused']).toBe(1);
  await copy.source.query(
    `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()`,
  );
  await work;
  expect((await running).message).toMatch(new RegExp(`^${ROWS} rows of 1 tables copied`));
  await busy.end();
});
