import type { Relation } from '../../../assets/agent/catalog/relations';
import { compareAll, type CompareAllOptions } from '../../../assets/agent/verify/compare-all';
import { compareRelation } from '../../../assets/agent/verify/compare-relation';
import { startEnds, type Ends } from './ends';

let ends: Ends;
let relations: Relation[];
beforeAll(async () => {
  ends = await startEnds();
  await ends.run('both', 'CREATE TABLE public.a (id int PRIMARY KEY, v text)');
  await ends.run('both', 'CREATE TABLE public.b (id int PRIMARY KEY, v text)');
  await ends.run('both', `INSERT INTO public.a SELECT g, 'v' FROM generate_series(1, 3000) g`);
  await ends.run('both', `INSERT INTO public.b SELECT g, 'v' FROM generate_series(1, 500) g`);
  await ends.run('source', 'CREATE TABLE public.absent (id int PRIMARY KEY)');
  relations = await ends.relations('"public"."a"', '"public"."b"', '"public"."absent"');
});
afterAll(() => ends.stop());

const options = (names: readonly string[]): CompareAllOptions => ({
  openSource: () => ends.open('source'),
  openTarget: () => ends.open('target'),
  relations: relations.filter((relation) => names.includes(relation.name)),
  jobs: 2,
  chunkRows: 1000,
});

const sessions = async (): Promise<number> => {
  const { rows } = await ends.source.query(
    `SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  );
  return rows[0].count;
};

it('adds up what its workers compared, and tells how far it is', async () => {
  const seen: number[] = [];
  const result = await compareAll({ ...options(['a', 'b']), onProgress: ({ rows }) => seen.push(rows) });
  expect(result).toMatchObject({ ok: true, rowsCompared: 3500, rowsDifferent: 0, relations: 2, notCompared: [] });
  expect(seen.at(-1)).toBe(3500);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
});

it('reports a relation that is missing on the target by name, compares the others, and is not ok', async () => {
  const result = await compareAll({ ...options(['a', 'b', 'absent']), jobs: 1 });
  expect(result).toMatchObject({
    ok: false,
    relations: 2,
    rowsCompared: 3500,
    notCompared: [{ relation: '"public"."absent"', cause: 'relation "public.absent" does not exist' }],
  });
});

it('reports every relation when an end cannot be reached', async () => {
  const result = await compareAll({
    ...options(['a', 'b']),
    openTarget: () => Promise.reject(new Error('no route to target')),
  });
  expect(result).toMatchObject({ ok: false, relations: 0, rowsCompared: 0 });
  expect(result.notCompared.map(({ relation, cause }) => `${relation}: ${cause}`).sort()).toEqual([
    '"public"."a": no route to target',
    '"public"."b": no route to target',
  ]);
});

it('reports a relation whose session is killed in the middle, and compares the next with a new one', async () => {
  let killed = false;
  const result = await compareAll({
    ...options(['a', 'b']),
    jobs: 1,
    onProgress: () => {
      if (killed) return;
      killed = true;
      void ends.target.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
      );
    },
    compare: async (one) =>
      compareRelation({
        ...one,
        onChunk: async (rows) => {
          await one.onChunk?.(rows);
          if (one.relation.name === 'a') await new Promise((resolve) => one.target.once('end', resolve));
        },
      }),
  });
  expect(result).toMatchObject({ ok: false, relations: 1, rowsCompared: 500 });
  expect(result.notCompared).toEqual([
    { relation: '"public"."a"', cause: expect.stringMatching(/terminat|not queryable/) },
  ]);
});

it('shows some examples of what differs', async () => {
  await ends.run('target', 'BEGIN; UPDATE public.b SET v = NULL WHERE id <= 30; COMMIT');
  const result = await compareAll(options(['a', 'b']));
  expect(result).toMatchObject({ ok: false, rowsDifferent: 30 });
  expect(result.examples).toHaveLength(20);
  expect(result.examples[0]).toMatchObject({ relation: '"public"."b"', kind: 'different' });
});

it('leaves no session behind', async () => {
  const before = await sessions();
  await compareAll(options(['a', 'b', 'absent']));
  while ((await sessions()) > before) await new Promise((resolve) => setImmediate(resolve));
});
