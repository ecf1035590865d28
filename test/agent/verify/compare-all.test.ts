import type { Relation } from '../../../assets/agent/catalog/relations';
import { HostLost } from '../../../assets/agent/host-volume';
import { compareAll, type CompareAllOptions } from '../../../assets/agent/verify/compare-all';
import { compareRelation, type CompareOptions } from '../../../assets/agent/verify/compare-relation';
import type { RelationComparison } from '../../../assets/agent/verify/comparison';
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
  // A key that the two servers might sort differently.
  await ends.run('both', 'CREATE TABLE public.by_text (id text PRIMARY KEY, v text)');
  await ends.run('both', `INSERT INTO public.by_text SELECT md5(g::text), 'v' FROM generate_series(1, 3000) g`);
  await ends.run('both', 'ANALYZE public.by_text');
  relations = await ends.relations('"public"."a"', '"public"."b"', '"public"."absent"', '"public"."by_text"');
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

it.each(['a', 'by_text'])('begins no chunk of %s while the brake holds it up', async (name) => {
  let release = (): void => undefined;
  const free = new Promise<void>((resolve) => (release = resolve));
  let held = (): void => undefined;
  const asked = new Promise<void>((resolve) => (held = resolve));
  const seen: number[] = [];
  const comparison = compareAll({
    ...options([name]),
    jobs: 1,
    paced: { wait: () => 0, clear: () => (held(), free) },
    onProgress: ({ rows }) => seen.push(rows),
  });
  await asked;
  await expect(Promise.race([comparison, sessions()])).resolves.toBeGreaterThan(0);
  expect(seen).toEqual([1000]);
  release();
  expect(await comparison).toMatchObject({ ok: true, rowsCompared: 3000 });
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

it('names the key of a row that is too large to be hashed, compares the others, and is not ok', async () => {
  await ends.run('both', 'CREATE TABLE public.large (id int PRIMARY KEY, small text, v bytea, j json, a varchar(9)[])');
  await ends.run('both', `INSERT INTO public.large VALUES (1, 'x', 'x'), (3, 'x', 'x'), (7, 'x', 'x')`);
  // As hexadecimal digits twice as long, and a server holds no value of 1 GB.
  await ends.run('source', `UPDATE public.large SET v = convert_to(repeat('x', 540000000), 'UTF8') WHERE id = 3`);
  const large = await ends.relation('"public"."large"');
  const result = await compareAll({ ...options(['a']), relations: [large, ...options(['a']).relations] });
  await ends.run('both', 'DROP TABLE public.large');
  expect(result).toMatchObject({ ok: false, relations: 1, rowsCompared: 3000 });
  expect(result.notCompared).toEqual([
    {
      relation: '"public"."large"',
      cause: expect.stringMatching(
        /^the rows of the keys \(3\) are over 1 GB as text, which no server can hash \(invalid memory alloc request size \d+\); .* make the value smaller, or keep it in parts, then start verify again$/,
      ) as string,
    },
  ]);
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

/** An end that is away as soon as chunks have been read, and a comparison that learns of it. */
function goingAway(back: () => boolean): { readonly options: CompareAllOptions; readonly tries: () => number } {
  let away = false;
  let tries = 0;
  const lost = (): Error => Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
  return {
    tries: () => tries,
    options: {
      ...options(['a', 'b', 'by_text']),
      jobs: 1,
      pauses: [10, 20, 30],
      openTarget: async () => {
        if (!away) return ends.open('target');
        tries += 1;
        if (!back()) throw lost();
        return ends.open('target');
      },
      compare: async (one) => {
        if (tries > 0) return compareRelation(one);
        away = true;
        throw lost();
      },
    },
  };
}

it('waits for an end that is away for a while, and compares every relation', async () => {
  const { options: disturbed, tries } = goingAway(() => tries() > 2);
  expect(await compareAll(disturbed)).toMatchObject({ ok: true, relations: 3, rowsCompared: 6500, notCompared: [] });
});

it('waits once for an end that stays away, and says of every relation what to do', async () => {
  const { options: disturbed, tries } = goingAway(() => false);
  const { notCompared } = await compareAll(disturbed);
  expect(tries()).toBe(3);
  expect(notCompared).toHaveLength(3);
  for (const { cause } of notCompared)
    expect(cause).toBe('connect ECONNREFUSED 127.0.0.1:1; bring that server back, then start verify again');
});

it('reads nothing more once the PostgreSQL of the host has ended, which can note nothing', async () => {
  const seen: string[] = [];
  const compare = async ({ relation }: CompareOptions): Promise<RelationComparison> => {
    seen.push(relation.name);
    throw new HostLost(`the host's PostgreSQL ended our session`, { cause: new Error('Connection terminated') });
  };
  const { notCompared } = await compareAll({ ...options(['a', 'b', 'by_text']), jobs: 1, pauses: [1, 1, 1], compare });
  expect(seen).toHaveLength(1);
  expect(notCompared.map(({ cause }) => cause)).toEqual(
    Array.from({ length: 3 }, () => expect.stringMatching(/^the host/)),
  );
});

it('leaves alone what costs the server its sessions again and again, and compares all behind it', async () => {
  let tries = 0;
  const compare = async (one: CompareOptions): Promise<RelationComparison> => {
    if (one.relation.name !== 'a') return compareRelation(one);
    tries += 1;
    throw Object.assign(new Error('terminating connection because of crash of another server process'), {
      code: '57P02',
    });
  };
  const pauses = Array.from({ length: 9 }, () => 1);
  const { notCompared, relations } = await compareAll({ ...options(['a', 'b', 'by_text']), jobs: 1, pauses, compare });
  expect({ tries, relations }).toEqual({ tries: 3, relations: 2 });
  expect(notCompared).toEqual([
    {
      relation: '"public"."a"',
      cause: expect.stringMatching(
        /^3 times a server ended the session that compared it, .*; look into that server's log/,
      ),
    },
  ]);
});

it('compares alone what a server was lost at beside others, and leaves alone only what costs it that session, too', async () => {
  const tries = new Map<string, number>();
  const compare = async (one: CompareOptions): Promise<RelationComparison> => {
    const { name } = one.relation;
    const times = (tries.get(name) ?? 0) + 1;
    tries.set(name, times);
    if (name === 'by_text' || (name === 'b' && times > 2)) return compareRelation(one);
    throw Object.assign(new Error('terminating connection because of crash of another server process'), {
      code: '57P02',
    });
  };
  const pauses = Array.from({ length: 9 }, () => 1);
  const { notCompared } = await compareAll({ ...options(['a', 'b', 'by_text']), jobs: 2, pauses, compare });
  expect(notCompared).toEqual([
    {
      relation: '"public"."a"',
      cause: expect.stringMatching(/^3 times a server ended the session that compared it, /),
    },
  ]);
  expect(Object.fromEntries(tries)).toEqual({ a: 3, b: 3, by_text: 1 });
});

it('shows some examples of what differs', async () => {
  await ends.run('target', 'BEGIN; UPDATE public.b SET v = NULL WHERE id <= 30; COMMIT');
  const result = await compareAll(options(['a', 'b']));
  expect(result).toMatchObject({ ok: false, rowsDifferent: 30 });
  expect(result.examples).toHaveLength(20);
  expect(result.examples[0]).toMatchObject({ relation: '"public"."b"', kind: 'different' });
});

describe('a relation of many chunks', () => {
  let large: Relation[];
  beforeAll(async () => {
    await ends.run('both', 'CREATE TABLE public.large (a int, b uuid, v text, PRIMARY KEY (a, b))');
    await ends.run(
      'both',
      `INSERT INTO public.large SELECT g % 20000, md5(g::text)::uuid, 'v' FROM generate_series(1, 60000) g; ANALYZE public.large`,
    );
    large = await ends.relations('"public"."large"');
  });
  const compare = (more: Partial<CompareAllOptions> = {}): ReturnType<typeof compareAll> =>
    compareAll({ ...options([]), relations: large, ...more });

  it('is compared by several workers at once, each row once', async () => {
    const ranges: object[] = [];
    let atOnce = 0;
    let most = 0;
    const result = await compare({
      compare: async (one) => {
        ranges.push(one.range ?? {});
        most = Math.max(most, ++atOnce);
        try {
          return await compareRelation(one);
        } finally {
          atOnce--;
        }
      },
    });
    expect(result).toMatchObject({ ok: true, rowsCompared: 60_000, relations: 1 });
    expect(most).toBe(2);
    expect(ranges.length).toBeGreaterThan(3);
    expect(ranges.filter((range) => !('after' in range))).toHaveLength(1);
    expect(ranges.filter((range) => !('upTo' in range))).toHaveLength(1);
  });

  it('shows what differs in any of its sections, and before the first and after the last key', async () => {
    await ends.run(
      'target',
      `UPDATE public.large SET v = 'x' WHERE a IN (0, 9999, 19999);
       INSERT INTO public.large SELECT a, md5('')::uuid FROM unnest(ARRAY[-5, 30000]) AS a`,
    );
    const { rowsDifferent, comparisons } = await compare();
    await ends.run(
      'target',
      `UPDATE public.large SET v = 'v' WHERE v = 'x'; DELETE FROM public.large WHERE a IN (-5, 30000)`,
    );
    expect(comparisons).toHaveLength(1);
    expect({ rowsDifferent, ...comparisons[0]?.differences }).toEqual({
      rowsDifferent: 11,
      'missing on target': 0,
      'extra on target': 2,
      different: 9,
    });
  });

  it('is not compared when one of its sections is not, whatever the others found', async () => {
    let first = true;
    const result = await compare({
      compare: (one) => {
        if (!first) return compareRelation(one);
        first = false;
        return Promise.reject(new Error('broken'));
      },
    });
    expect(result).toMatchObject({
      ok: false,
      relations: 0,
      rowsCompared: 0,
      notCompared: [{ relation: '"public"."large"', cause: 'broken' }],
    });
  });

  it('costs a server no further crash once one of its sections is left alone', async () => {
    const tries = new Map<string, number>();
    const result = await compare({
      pauses: Array.from({ length: 9 }, () => 1),
      compare: ({ range }) => {
        const section = JSON.stringify(range);
        tries.set(section, (tries.get(section) ?? 0) + 1);
        return Promise.reject(Object.assign(new Error('terminating connection'), { code: '57P02' }));
      },
    });
    expect(result.notCompared).toHaveLength(1);
    const [leftAlone, ...others] = [...tries.values()].sort((a, b) => b - a);
    expect(leftAlone).toBe(3);
    expect(others.length).toBeGreaterThan(2);
    expect(new Set(others)).toEqual(new Set([2]));
  });

  it('is read no faster than the limit says, and so is one whose key the two servers might sort differently', async () => {
    const { seconds } = await compare({ maxRowsPerSecond: 60_000 });
    expect(seconds).toBeGreaterThan(0.9);
    const one = { ...options(['by_text']), maxRowsPerSecond: 3_000 };
    expect((await compareAll(one)).seconds).toBeGreaterThan(0.9);
  });
});

it('counts rows that had to be read again against the limit, too', async () => {
  const compare = async (one: CompareOptions): Promise<RelationComparison> => {
    const { onChunk, ...rest } = one;
    await onChunk?.(10, 490);
    return compareRelation(rest);
  };
  expect((await compareAll({ ...options(['a']), compare, maxRowsPerSecond: 1_000 })).seconds).toBeGreaterThan(0.4);
});

it.each([
  ['whose reading takes too long', `SET statement_timeout = '1ms'`, 'canceling statement due to statement timeout'],
  ['that may not be read', 'SET ROLE pg_monitor', 'permission denied for table a'],
])('reports a relation %s as not compared, and is not ok', async (_, setting, cause) => {
  const result = await compareAll({
    ...options(['a']),
    openTarget: async () => {
      const client = await ends.open('target');
      await client.query(setting);
      return client;
    },
    compare: (one) => compareRelation({ ...one, shapes: () => ({ kind: 'scalar', type: 'text' }) }),
  });
  expect(result).toMatchObject({
    ok: false,
    relations: 0,
    rowsCompared: 0,
    notCompared: [{ relation: '"public"."a"', cause }],
  });
});

it('leaves no session behind', async () => {
  const before = await sessions();
  await compareAll(options(['a', 'b', 'absent']));
  while ((await sessions()) > before) await new Promise((resolve) => setImmediate(resolve));
});
