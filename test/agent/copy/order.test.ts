import { copyAll } from '../../../assets/agent/copy';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';
import { intercept } from '../catch-up/moving';

/** Sizes go neither by name nor by age; most of the largest one lies beside its heap. */
const TABLES = `
  CREATE TABLE a_small (id int PRIMARY KEY, filler text);
  CREATE TABLE b_second (id int PRIMARY KEY, filler text);
  CREATE TABLE c_largest (id int PRIMARY KEY, filler text);
  CREATE TABLE d_third (id int PRIMARY KEY, filler text);
  ALTER TABLE c_largest ALTER filler SET STORAGE EXTERNAL;
  INSERT INTO a_small SELECT i, repeat('f', 200) FROM generate_series(1, 1000) i;
  INSERT INTO b_second SELECT i, repeat('f', 200) FROM generate_series(1, 5000) i;
  INSERT INTO c_largest SELECT i, repeat('f', 50000) FROM generate_series(1, 40) i;
  INSERT INTO d_third SELECT i, repeat('f', 200) FROM generate_series(1, 3000) i;
  ANALYZE`;

const LARGEST_FIRST = ['c_largest', 'b_second', 'd_third', 'a_small'];

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(() => copy.prepare(TABLES));

/** One worker: what it copies, it copies in the order in which chunks are handed out. */
const single = () => ({ ...copy.migration.config.copy, chunkMegabytes: 0.1, jobs: 1, indexJobs: 1 });

/** Tables in the order of their chunks, those that follow each other of one table as one. */
async function order(): Promise<string[]> {
  const { rows } = await copy.target.query('SELECT relation_name AS name FROM ibex.chunk ORDER BY copied_at');
  const names = (rows as { name: string }[]).map(({ name }) => name);
  expect(names.length).toBeGreaterThan(2 * LARGEST_FIRST.length);
  return names.filter((name, i) => name !== names[i - 1]);
}

it('chunks of the largest table are handed out first, TOAST counted, those of the smallest last', async () => {
  await copy.run(single());
  expect(await order()).toEqual(LARGEST_FIRST);
});

it('so they are when the copy goes on, also where a table must be cut anew', async () => {
  /** Fails whatever is to be noted once the two largest tables are there and ended. */
  const first = copy.within(
    'copy',
    async (context) => {
      const isOver = async (): Promise<void> => {
        const { rows } = await context.state.client.query(
          `SELECT FROM ibex.copy_chunk WHERE NOT done AND relation ~ '(largest|second)'`,
        );
        if (rows.length > 0) return;
        const ended = 'SELECT count(*)::int AS n FROM ibex.relation WHERE copied_at IS NOT NULL';
        await until(async () => (await copy.one<{ n: number }>('target', ended)).n === 2);
        throw new Error('killed');
      };
      const connect = context.connect.bind(context);
      context.connect = async (end, purpose) =>
        intercept(await connect(end, purpose), (text) =>
          end === 'target' && text.startsWith('INSERT INTO ibex.chunk') ? isOver() : undefined,
        );
      return copyAll(context, COPY_PROBES);
    },
    { copy: single() },
  );
  await expect(first).rejects.toThrow('killed');
  expect([...new Set(await order())]).toEqual(LARGEST_FIRST.slice(0, 2));
  await copy.source.query('VACUUM FULL a_small');
  await copy.run(single());
  expect(await order()).toEqual(LARGEST_FIRST);
});
