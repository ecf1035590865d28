import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { UNBRAKED } from '../../../assets/agent/brake/paced';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { Key, Relation } from '../../../assets/agent/catalog/relations';
import { Context } from '../../../assets/agent/context';
import type { End } from '../../../assets/agent/endpoints';
import { Failure } from '../../../assets/agent/errors';
import { checkKeyIndex, type IndexCheck } from '../../../assets/agent/verify/index-check';
import { checkKeyIndexes } from '../../../assets/agent/verify/index-checks';
import { agentConfig, config, startEnds, type Ends } from './ends';

let ends: Ends;
beforeAll(async () => {
  ends = await startEnds();
  await ends.run('both', 'CREATE EXTENSION citext SCHEMA public');
});
afterAll(() => ends.stop());

async function check(end: End, name: string, chunkRows = 300): Promise<IndexCheck> {
  const client: Client = ends[end];
  const relation = (await readRelations(client, config())).find((one) => one.name === name);
  if (!relation) throw new Error(`no table ${name}`);
  return checkKeyIndex(client, relation, relation.key as Key, chunkRows);
}

const ENDS: End[] = ['source', 'target'];

describe.each(ENDS)('on the %s', (end) => {
  it.each([
    ['int', 'k int PRIMARY KEY', 'g'],
    ['text', 'k text PRIMARY KEY', `CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g`],
    [
      'text in the order of a language',
      'k text COLLATE "en-x-icu" PRIMARY KEY',
      `CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g`,
    ],
    ['text of another case', 'k public.citext PRIMARY KEY', `CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g`],
    ['uuid', 'k uuid PRIMARY KEY', 'md5(g::text)::uuid'],
    ['characters of a length', 'k char(8) PRIMARY KEY', `CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g`],
    ['bits of a length', 'k bit(16) PRIMARY KEY', 'g::bit(16)'],
    ['a pair', 'a int, k text, PRIMARY KEY (a, k)', `g % 7, 'k' || g`],
    ['a unique index in descending order', 'a int NOT NULL, b int NOT NULL', 'g % 7, g'],
  ])('an index of %s shows what a sequential pass sees', async (kind, columns, values) => {
    const client = ends[end];
    await client.query(`DROP TABLE IF EXISTS public.sound; CREATE TABLE public.sound (${columns})`);
    await client.query(`INSERT INTO public.sound SELECT ${values} FROM generate_series(1, 1000) g`);
    if (kind.includes('descending')) await client.query('CREATE UNIQUE INDEX ON public.sound (a DESC, b)');
    expect(await check(end, 'sound')).toEqual({ rows: 1000, indexRows: 1000, misplaced: 0, ok: true });
  });

  it('a key whose text stands for a lesser value is told of, and not found again for ever', async () => {
    const client = ends[end];
    await client.query('CREATE TABLE public.rounded (k float8 PRIMARY KEY)');
    await client.query('INSERT INTO public.rounded SELECT 1 + g * 2::float8 ^ -52 FROM generate_series(0, 19) g');
    await client.query('SET extra_float_digits = 0');
    try {
      expect(await check(end, 'rounded', 10)).toMatchObject({ misplaced: 1, ok: false });
    } finally {
      await client.query('RESET extra_float_digits');
    }
  });

  it('an index of an empty table does, too', async () => {
    await ends[end].query('CREATE TABLE public.empty (k int PRIMARY KEY)');
    expect(await check(end, 'empty')).toEqual({ rows: 0, indexRows: 0, misplaced: 0, ok: true });
  });

  it('an index that was sorted by the rules of another collation is found', async () => {
    const client = ends[end];
    await client.query('CREATE TABLE public.sorted (k text COLLATE "C" PRIMARY KEY)');
    await client.query(
      `INSERT INTO public.sorted SELECT CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g FROM generate_series(1, 1000) g`,
    );
    const icu = `(SELECT oid FROM pg_collation WHERE collname = 'en-x-icu')`;
    await client.query(`
      UPDATE pg_attribute SET attcollation = ${icu}
      WHERE attname = 'k' AND attrelid IN ('public.sorted'::regclass, 'public.sorted_pkey'::regclass);
      UPDATE pg_index SET indcollation = ${icu}::text::oidvector WHERE indexrelid = 'public.sorted_pkey'::regclass`);
    expect((await check(end, 'sorted')).ok).toBe(false);
    await client.query('REINDEX INDEX public.sorted_pkey');
    expect(await check(end, 'sorted')).toMatchObject({ rows: 1000, indexRows: 1000, ok: true });
  });
});

it('a row that its index does not hold is found, which the comparison cannot see', async () => {
  await ends.run('both', 'CREATE TABLE public.hiding (k int PRIMARY KEY, v text)');
  await ends.run('both', `INSERT INTO public.hiding SELECT g, 'v' FROM generate_series(1, 1000) g`);
  const ready = (is: boolean): string =>
    `UPDATE pg_index SET indisready = ${is} WHERE indexrelid = 'public.hiding_pkey'::regclass`;
  await ends.run('source', ready(false));
  await ends.run('source', `INSERT INTO public.hiding VALUES (1001, 'hidden')`);
  await ends.run('source', ready(true));
  expect((await ends.compare('"public"."hiding"')).keys).toEqual([]);
  expect(await check('source', 'hiding')).toEqual({ rows: 1001, indexRows: 1000, misplaced: 0, ok: false });
  expect((await check('target', 'hiding')).ok).toBe(true);
  await ends.run('source', 'REINDEX INDEX public.hiding_pkey');
  expect((await check('source', 'hiding')).ok).toBe(true);
  expect((await ends.compare('"public"."hiding"')).keys).toMatchObject([{ kind: 'missing on target', key: ['1001'] }]);
});

it('the speed limit is waited for outside of the snapshot, which would hold back vacuum', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ibex-index-check-'));
  const settings = agentConfig(ends, directory);
  const context = await Context.create(
    { ...settings, verify: { ...settings.verify, maxRowsPerSecond: 400 } },
    'verify',
  );
  try {
    await ends.run('both', 'CREATE TABLE public.slow (k int PRIMARY KEY)');
    await ends.run('both', 'INSERT INTO public.slow SELECT generate_series(1, 500)');
    const ended = new AbortController();
    const checks = checkKeyIndexes(context, [await ends.relation('"public"."slow"')]).finally(() => ended.abort());
    const looks = { with: 0, without: 0 };
    while (!ended.signal.aborted) {
      const { rows } = await ends.source.query<{ held: boolean }>(
        `SELECT count(*) > 0 AS held FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND state LIKE 'idle in transaction%'`,
      );
      looks[rows[0]?.held ? 'with' : 'without'] += 1;
      await sleep(20);
    }
    expect(await checks).toEqual({ checked: 2, known: 0, problems: [] });
    expect(looks.without).toBeGreaterThan(2 * looks.with + 5);
  } finally {
    await context.close();
    rmSync(directory, { recursive: true });
  }
});

describe('a check for which others wait', () => {
  const NAME = '"public"."wanted"';
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-index-wanted-'));
    await ends.run('both', `CREATE TABLE ${NAME} (k int PRIMARY KEY); INSERT INTO ${NAME} VALUES (1)`);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** What the checks come to while the table is locked by somebody, for as long as they are told that somebody waits. */
  async function checks(isWaiting: (asked: number) => boolean) {
    const settings = agentConfig(ends, directory);
    const verify = { ...settings.verify, sequentialCheck: 'always' as const };
    const context = await Context.create({ ...settings, verify }, 'verify');
    // Before the lock, which keeps sizes from being read.
    const relation = await ends.relation(NAME);
    const blocker = await ends.open('source');
    await blocker.query(`BEGIN; LOCK TABLE ${NAME}`);
    const asked = new Set<number | string>();
    const waiter = (holder: number | string): string | undefined => {
      asked.add(holder);
      if (isWaiting(asked.size)) return 'an ALTER TABLE of pid 1';
      void blocker.query('ROLLBACK');
      return undefined;
    };
    context.brake = { ...UNBRAKED, waiter };
    try {
      const { checked, problems } = await checkKeyIndexes(context, [relation]);
      return { checked, problems, sessions: asked.size };
    } finally {
      await blocker.end();
      await context.close();
    }
  }

  it('is ended by the server, and made again', async () => {
    expect(await checks((asked) => asked === 1)).toEqual({ checked: 2, problems: [], sessions: 2 });
  });

  it('is a problem when that happens again and again', async () => {
    const { problems, sessions } = await checks(() => true);
    expect(sessions).toBe(5);
    expect(problems).toEqual([
      expect.stringMatching(
        /^"public"."wanted" on the source: its index was not checked, since each of 5 times .* an ALTER TABLE of pid 1; keep/,
      ),
    ]);
  });
});

describe('an end that goes away', () => {
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-index-away-'));
    for (const name of ['near', 'far', 'beyond'])
      await ends.run('both', `CREATE TABLE public.${name} (k int PRIMARY KEY); INSERT INTO public.${name} VALUES (1)`);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** What the checks come to when the target takes no session for so many tries, once they are under way. */
  async function checks(refused: number) {
    const settings = agentConfig(ends, directory);
    const verify = { ...settings.verify, sequentialCheck: 'always' as const, jobs: 1 };
    const context = await Context.create({ ...settings, verify }, 'verify');
    const connect = context.connect.bind(context);
    let opened = 0;
    context.connect = (end, ...rest) => {
      if (end === 'target' && (opened += 1) > 1 && opened <= 1 + refused)
        throw new Failure('cannot connect to target: connect ECONNREFUSED');
      return connect(end, ...rest);
    };
    try {
      const relations = await ends.relations('"public"."near"', '"public"."far"', '"public"."beyond"');
      const { checked, problems } = await checkKeyIndexes(context, relations, [10, 20]);
      return { checked, problems };
    } finally {
      await context.close();
    }
  }

  it('is waited for', async () => {
    expect(await checks(2)).toEqual({ checked: 6, problems: [] });
  });

  it('and stays away ends the checks, with one line', async () => {
    expect(await checks(1000)).toEqual({
      checked: 3,
      problems: [
        '"public"."beyond" on the target: cannot connect to target: connect ECONNREFUSED; its index and 2 others were not checked: bring that server back, then start verify again',
      ],
    });
  });
});

describe('the checks of a whole database', () => {
  const NAME = '"public"."once_checked"';
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-index-checks-'));
    await ends.run(
      'both',
      `CREATE TABLE ${NAME} (k int PRIMARY KEY); INSERT INTO ${NAME} SELECT generate_series(1, 50)`,
    );
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  async function checksOf(others: Ends, relation: Relation) {
    const context = await Context.create(agentConfig(others, directory), 'verify');
    try {
      return await checkKeyIndexes(context, [relation]);
    } finally {
      await context.close();
    }
  }

  /** What the checks found under that setting, and the last evidence of them. */
  async function checks(sequentialCheck: 'once' | 'always' | 'never') {
    const settings = agentConfig(ends, directory);
    const context = await Context.create({ ...settings, verify: { ...settings.verify, sequentialCheck } }, 'verify');
    try {
      const found = await checkKeyIndexes(context, [await ends.relation(NAME)]);
      const all = await context.state.allEvidence();
      return { found, evidence: all.findLast(({ gate }) => gate === 'key indexes hide no row') };
    } finally {
      await context.close();
    }
  }

  it('skip what was checked before as long as its files are the same, when asked for once', async () => {
    expect((await checks('once')).found).toEqual({ checked: 2, known: 0, problems: [] });
    expect((await checks('once')).found).toEqual({ checked: 0, known: 2, problems: [] });
    await ends.source.query(`REINDEX TABLE ${NAME}`);
    expect((await checks('once')).found).toEqual({ checked: 1, known: 1, problems: [] });
  });

  it('are made again on a server that was started anew: it may be another, or sort by other rules', async () => {
    const others = await startEnds();
    try {
      await others.run('both', `CREATE TABLE ${NAME} (k text PRIMARY KEY)`);
      const relation = await others.relation(NAME);
      await others.source.end();
      expect(await checksOf(others, relation)).toEqual({ checked: 2, known: 0, problems: [] });
      await others.servers.source.kill();
      await others.servers.source.start();
      expect(await checksOf(others, relation)).toEqual({ checked: 1, known: 1, problems: [] });
    } finally {
      await others.stop();
    }
  });

  it('skip nothing, when always asked for', async () => {
    expect((await checks('always')).found).toEqual({ checked: 2, known: 0, problems: [] });
  });

  it('say that they have not run, when never asked for', async () => {
    const { found, evidence } = await checks('never');
    expect(found).toEqual({ checked: 0, known: 0, problems: [] });
    expect(evidence).toMatchObject({
      passed: false,
      result: { verdict: 'warn', figure: 'not run', todo: expect.stringContaining('may hide rows') },
    });
  });
});
