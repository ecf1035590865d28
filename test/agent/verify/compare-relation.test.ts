import type { Client } from 'pg';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { chunkColumns } from '../../../assets/agent/verify/chunk-columns';
import { compareRelation } from '../../../assets/agent/verify/compare-relation';
import { differing, type RelationComparison } from '../../../assets/agent/verify/comparison';
import { config, startEnds, type Ends } from './ends';
import { until } from '../../helpers/until';

let ends: Ends;

beforeAll(async () => {
  ends = await startEnds();
  await ends.run('both', 'CREATE EXTENSION citext SCHEMA public');
});
afterAll(() => ends.stop());

const EVERY_TYPE = `
  CREATE SCHEMA "Odd Names";
  CREATE TYPE "Odd Names"."Mood" AS ENUM ('sad', 'ok', 'very happy');
  CREATE TYPE "Odd Names".pair AS (a int, b double precision, c text);
  CREATE DOMAIN "Odd Names".ratio AS double precision;
  CREATE TABLE "Odd Names"."select" (
    id bigserial PRIMARY KEY, "Order" text, mood "Odd Names"."Mood", pair "Odd Names".pair, ratio "Odd Names".ratio,
    email public.citext, r real, d double precision, n numeric(20, 6), j json, jb jsonb, b bytea, ts timestamp,
    tz timestamptz, dd date, iv interval, u uuid, ia int[], da double precision[], ma "Odd Names"."Mood"[], ip inet,
    bits bit(5), rng tstzrange, ch char(6), bool boolean, tsv tsvector, x xml,
    ra "Odd Names".ratio[]);
  SELECT setseed(0.5);
  INSERT INTO "Odd Names"."select"
  SELECT g, CASE g % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'a "quoted", (text) \\ é' || g END,
    (enum_range(NULL::"Odd Names"."Mood"))[1 + g % 3], ROW(g, g / 3.0, NULL)::"Odd Names".pair, g / 7.0, 'User' || g || '@Example.org',
    g / 3.0, CASE g % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN 'Infinity' ELSE (g / 3.0)::text END::float8,
    g / 7.0, '{"b": 1,  "a": [1.10, null]}', '{"b": 1,  "a": [1.10, null]}', decode(md5(g::text), 'hex'),
    timestamp '2020-01-01' + g * interval '1.000001 s', timestamptz '2020-01-01 00:00:00+05' + g * interval '1 hour',
    CASE WHEN g % 2 = 0 THEN date '0044-03-15 BC' ELSE 'infinity' END, g * interval '1 day 1.5 s', md5(g::text)::uuid,
    ARRAY[g, NULL], ARRAY[g / 3.0, NULL], ARRAY['ok', NULL]::"Odd Names"."Mood"[], '10.0.0.0/8',
    (g % 32)::bit(5), tstzrange('2020-01-01', NULL), 'ab', g % 2 = 0, to_tsvector('simple', 'b a'), '<a>1</a>',
    ARRAY[g / 3.0, NULL]::"Odd Names".ratio[]
  FROM generate_series(1, 2500) g`;

describe('equal data', () => {
  it('of every kind of type is found equal between majors 11 and 17', async () => {
    await ends.run('both', EVERY_TYPE);
    const result = await ends.compare('"Odd Names"."select"');
    expect(result).toMatchObject({ sourceRows: 2500, targetRows: 2500, chunks: 3 });
    expect(result.keys).toEqual([]);
  });

  it.each([
    ['enum', `CREATE TYPE k_enum AS ENUM ('b', 'a', 'c')`, 'public.k_enum', `(enum_range(NULL::public.k_enum))[g]`],
    ['composite', 'CREATE TYPE k_comp AS (a int, b text)', 'public.k_comp', `ROW(g, 'x, y')::public.k_comp`],
    ['citext', 'SELECT 1', 'public.citext', `'Key' || g`],
    ['domain', 'CREATE DOMAIN k_dom AS int', 'public.k_dom', 'g'],
    ['char(n)', 'SELECT 1', 'char(8)', `'k' || g`],
    ['timestamptz', 'SELECT 1', 'timestamptz', `timestamptz '2020-01-01 UTC' + g * interval '1 us'`],
    ['bytea', 'SELECT 1', 'bytea', `decode(md5(g::text), 'hex')`],
    ['uuid', 'SELECT 1', 'uuid', `md5(g::text)::uuid`],
    ['numeric', 'SELECT 1', 'numeric(12, 3)', `g * -1.5`],
    ['date', 'SELECT 1', 'date', `date '2020-01-01' - g`],
    ['boolean', 'SELECT 1', 'boolean', `g = 1`],
  ])('keyed by %s is found equal, and a changed row is found by its key', async (kind, prepare, type, value) => {
    const table = `by_${kind.replace(/\W/g, '_')}`;
    const rows = kind === 'boolean' ? 2 : 3;
    await ends.run('both', `SET search_path = public, pg_catalog; ${prepare}; SET search_path = pg_catalog`);
    await ends.run('both', `CREATE TABLE public.${table} (k ${type} PRIMARY KEY, v int)`);
    await ends.run('both', `INSERT INTO public.${table} SELECT ${value}, g FROM generate_series(1, ${rows}) g`);
    expect((await ends.compare(`"public"."${table}"`, { chunkRows: 1 })).keys).toEqual([]);
    await ends.run('target', `UPDATE public.${table} SET v = 0 WHERE v = 2`);
    const { keys } = await ends.compare(`"public"."${table}"`, { chunkRows: 1 });
    const changed = await ends.source.query(`SELECT k::text AS k FROM public.${table} WHERE v = 2`);
    expect(keys).toEqual([expect.objectContaining({ kind: 'different', key: [changed.rows[0].k] })]);
  });

  describe('of text keys that the two servers sort differently', () => {
    beforeAll(async () => {
      const table = (collation: string): string => `
        CREATE TABLE public.by_text (k text COLLATE ${collation} PRIMARY KEY, v int);
        INSERT INTO public.by_text SELECT CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g, g FROM generate_series(1, 5000) g`;
      await ends.run('source', table('"C"'));
      await ends.run('target', table('"en-x-icu"'));
      await ends.run('both', 'ANALYZE public.by_text');
    });

    it('is found equal, and what differs by its key, in stretches with a pause after each', async () => {
      const pauses: number[] = [];
      const compare = (): Promise<RelationComparison> => {
        pauses.length = 0;
        return ends.compare('"public"."by_text"', { onChunk: (rows, again = 0) => void pauses.push(rows + again) });
      };
      expect((await compare()).keys).toEqual([]);
      expect(pauses.reduce((sum, rows) => sum + rows, 0)).toBe(5000);
      expect(Math.max(...pauses)).toBeLessThan(1500);
      await ends.run('target', `DELETE FROM public.by_text WHERE k = 'B7'; INSERT INTO public.by_text VALUES ('', 0)`);
      const { keys, sourceRows, targetRows } = await compare();
      expect({ sourceRows, targetRows }).toEqual({ sourceRows: 5000, targetRows: 5000 });
      expect(keys).toHaveLength(2);
      expect(keys).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ kind: 'missing on target', key: ['B7'] }),
          expect.objectContaining({ kind: 'extra on target', key: [''] }),
        ]),
      );
      // What was listed was read once more, and is paid for as well.
      expect(pauses.reduce((sum, rows) => sum + rows, 0)).toBeCloseTo(10_000);
      await ends.run('target', `DELETE FROM public.by_text WHERE k = ''; INSERT INTO public.by_text VALUES ('B7', 7)`);
    });

    describe('and differ in many rows', () => {
      const differ = async (rows: number): Promise<void> =>
        ends.run('target', `UPDATE public.by_text SET v = -1 WHERE v <= ${rows}`);
      afterEach(() => ends.run('target', 'UPDATE public.by_text SET v = substr(k, 2)::int WHERE v = -1'));

      it('lists by further bits of the hash only what differs, never in one statement over all of it', async () => {
        await differ(20);
        const asked = jest.spyOn(ends.source, 'query');
        const openMemory = jest.fn(() => ends.open('target'));
        const { differences } = await ends.compare('"public"."by_text"', { mostListed: 300, openMemory });
        const said = asked.mock.calls.map(([query]) => (query as unknown as { text?: string }).text ?? '');
        asked.mockRestore();
        expect(differences).toEqual({ 'missing on target': 0, 'extra on target': 0, different: 20 });
        const reads = said.filter((text) => /FROM ONLY "public"."by_text"/.test(text));
        expect(reads.length).toBeGreaterThan(9);
        expect(reads.filter((text) => !/ctid [<>]|"k"\) [<>]|LIMIT 1$/.test(text))).toEqual([]);
        expect(openMemory).not.toHaveBeenCalled();
      });

      it('sorts them on the host when they are too many for memory, and leaves no session there', async () => {
        await differ(3000);
        await ends.run('target', `DELETE FROM public.by_text WHERE k = 'B7'`);
        const sessions: Client[] = [];
        const openMemory = async (): Promise<Client> => {
          const client = await ends.open('target');
          sessions.push(client);
          return client;
        };
        const { differences, keys } = await ends.compare('"public"."by_text"', { mostListed: 100, openMemory });
        expect(differences).toEqual({ 'missing on target': 1, 'extra on target': 0, different: 2999 });
        expect(new Set(keys.map(({ key }) => key.join())).size).toBe(keys.length);
        expect(sessions).toHaveLength(2);
        for (const client of sessions) await expect(client.query('SELECT 1')).rejects.toThrow();
        await ends.run('target', `INSERT INTO public.by_text VALUES ('B7', 7)`);
      });
    });

    it('keeps no row hidden that a rewrite moves from a stretch to one that was read already', async () => {
      await ends.run('target', 'VACUUM FULL public.by_text');
      const asked = jest.spyOn(ends.target, 'query');
      expect((await ends.compare('"public"."by_text"')).keys).toEqual([]);
      const said = asked.mock.calls.map(([query]) => (query as unknown as { text?: string }).text ?? '');
      asked.mockRestore();
      const [, page] = said.map((text) => /t\.ctid < '\((\d+),0\)'/.exec(text)).find((found) => found) ?? [];
      const at = async (place: string): Promise<string> =>
        (await ends.target.query(`SELECT k FROM public.by_text WHERE ctid = '${place}'`)).rows[0].k;
      const [first, extra] = [await at('(0,1)'), await at(`(${page},1)`)];
      await ends.run('source', `DELETE FROM public.by_text WHERE k = '${extra}'`);
      let chunks = 0;
      const onChunk = async (): Promise<void> => {
        if ((chunks += 1) > 1) return;
        await ends.run('both', `DELETE FROM public.by_text WHERE k = '${first}'`);
        await ends.run('target', 'VACUUM FULL public.by_text');
        expect(await at(`(${Number(page) - 1},1)`)).not.toBe(extra);
      };
      expect((await ends.compare('"public"."by_text"', { onChunk })).keys).toEqual([
        expect.objectContaining({ kind: 'extra on target', key: [extra] }),
      ]);
      await ends.run('target', `DELETE FROM public.by_text WHERE k = '${extra}'`);
    });

    it('is found to have rows that it got on new pages while it was read', async () => {
      let chunks = 0;
      const onChunk = async (): Promise<void> => {
        if ((chunks += 1) > 1) return;
        await ends.run('target', `INSERT INTO public.by_text SELECT 'new ' || g, g FROM generate_series(1, 3000) g`);
      };
      const { differences } = await ends.compare('"public"."by_text"', { onChunk });
      await ends.run('target', `DELETE FROM public.by_text WHERE k LIKE 'new %'`);
      expect(differences).toEqual({ 'missing on target': 0, 'extra on target': 3000, different: 0 });
    });

    it('is an error when it is rewritten each time that it is read', async () => {
      const onChunk = (): Promise<void> => ends.run('target', 'VACUUM FULL public.by_text');
      await expect(ends.compare('"public"."by_text"', { onChunk })).rejects.toThrow(
        /^"public"."by_text" was rewritten \(VACUUM FULL, .*\) each of 3 times that it was read; keep that away meanwhile/,
      );
    });
  });

  it('in a leaf partition is compared alone', async () => {
    await ends.run(
      'both',
      `CREATE TABLE public.parent (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
       CREATE TABLE public.leaf PARTITION OF public.parent FOR VALUES FROM (0) TO (100);
       CREATE TABLE public.other PARTITION OF public.parent DEFAULT;
       INSERT INTO public.parent SELECT g, 'v' FROM generate_series(0, 149) g`,
    );
    await ends.run('target', 'DELETE FROM public.other');
    expect(await ends.compare('"public"."leaf"')).toMatchObject({ sourceRows: 100, targetRows: 100, keys: [] });
  });

  it('without columns, and without rows, is found equal', async () => {
    await ends.run('both', 'CREATE TABLE public.nothing (); CREATE TABLE public.empty (id int PRIMARY KEY)');
    await ends.run('both', 'INSERT INTO public.nothing DEFAULT VALUES');
    expect(await ends.compare('"public"."nothing"')).toMatchObject({ sourceRows: 1, targetRows: 1, keys: [] });
    expect(await ends.compare('"public"."empty"')).toMatchObject({ sourceRows: 0, targetRows: 0, keys: [] });
  });
});

describe('a difference', () => {
  beforeAll(() =>
    ends.run(
      'both',
      `CREATE TABLE public.big (id int PRIMARY KEY, note text, f double precision);
       INSERT INTO public.big SELECT g, 'row ' || g, g / 3.0 FROM generate_series(1, 200000) g`,
    ),
  );
  const change = async (undo: string, sql: string): Promise<object> => {
    await ends.run('target', sql);
    const { keys, differences } = await ends.compare('"public"."big"', { chunkRows: 20_000 });
    await ends.run('target', undo);
    expect(differing(differences)).toBe(keys.length);
    return keys.map(({ kind, key }) => `${kind}: ${key.join()}`);
  };
  const row = (id: number): string =>
    `DELETE FROM public.big WHERE id = ${id}; INSERT INTO public.big VALUES (${id}, 'row ${id}', ${id} / 3.0)`;

  it('is not seen where there is none', async () => {
    expect(await change('SELECT 1', 'SELECT 1')).toEqual([]);
  });

  it('of one byte in one of 200,000 rows is found', async () => {
    expect(await change(row(123456), `UPDATE public.big SET note = 'rox 123456' WHERE id = 123456`)).toEqual([
      'different: 123456',
    ]);
  });

  it('of NULL and the empty string is found', async () => {
    await ends.run('source', `UPDATE public.big SET note = NULL WHERE id = 9`);
    const found = await change(row(9), `UPDATE public.big SET note = '' WHERE id = 9`);
    await ends.run('source', row(9));
    expect(found).toEqual(['different: 9']);
  });

  it('of the last bit of a floating point number is found', async () => {
    expect(await change(row(10), `UPDATE public.big SET f = 3.3333333333333330373 WHERE id = 10`)).toEqual([
      'different: 10',
    ]);
  });

  it('by a missing row is found, first, middle and last', async () => {
    const undo = [1, 77_777, 200_000].map(row).join(';');
    const found = await change(undo, 'DELETE FROM public.big WHERE id IN (1, 77777, 200000)');
    expect(found).toEqual(['missing on target: 1', 'missing on target: 77777', 'missing on target: 200000']);
  });

  it('by an extra row below and above all keys of the source is found', async () => {
    const found = await change(
      'DELETE FROM public.big WHERE id IN (-5, 2000000000)',
      `INSERT INTO public.big VALUES (-5, '', 0), (2000000000, '', 0)`,
    );
    expect(found).toEqual(['extra on target: -5', 'extra on target: 2000000000']);
  });

  it('of one flipped bit in one row of 2 million is found', async () => {
    const fill = `CREATE UNLOGGED TABLE public.millions (id int PRIMARY KEY, v int);
      INSERT INTO public.millions SELECT g, g FROM generate_series(1, 2000000) g`;
    await Promise.all([ends.run('source', fill), ends.run('target', fill)]);
    await ends.run('target', 'UPDATE public.millions SET v = v # 1 WHERE id = 1234567');
    const { keys, sourceRows } = await ends.compare('"public"."millions"', { chunkRows: 50_000 });
    await ends.run('both', 'DROP TABLE public.millions');
    expect(sourceRows).toBe(2_000_000);
    expect(keys).toMatchObject([{ kind: 'different', key: ['1234567'] }]);
  });

  it('in very many rows is counted exactly and kept in part', async () => {
    await ends.run(
      'both',
      'CREATE TABLE public.many (id int PRIMARY KEY); CREATE TABLE public.many_text (id text PRIMARY KEY)',
    );
    await ends.run('source', 'INSERT INTO public.many SELECT generate_series(1, 30000)');
    await ends.run('target', 'INSERT INTO public.many SELECT generate_series(10001, 45000)');
    await ends.run('both', 'INSERT INTO public.many_text SELECT id FROM public.many');
    for (const name of ['"public"."many"', '"public"."many_text"']) {
      const { differences, keys } = await ends.compare(name, { chunkRows: 7000 });
      expect(differences).toEqual({ 'missing on target': 10_000, 'extra on target': 15_000, different: 0 });
      expect(keys).toHaveLength(1000);
    }
  });
});

describe('a composite key', () => {
  it.each([
    ['of ordered types', 'a int, b uuid', 'a, b', `g % 7, md5(g::text)::uuid`],
    ['with a tail that sorts differently', 'a int, b text', 'a, b', `g % 7, 'k' || g`],
    ['with a head that sorts differently', 'a text, b int', 'a, b', `'k' || g % 7, g`],
    ['in descending order, of a unique index', 'a int NOT NULL, b int NOT NULL', '', `g % 7, g`],
  ])('%s names the rows that differ', async (_, columns, key, values) => {
    const constraint = key === '' ? '' : `, PRIMARY KEY (${key})`;
    await ends.run(
      'both',
      `DROP TABLE IF EXISTS public.composite; CREATE TABLE public.composite (${columns}, v int${constraint});
       INSERT INTO public.composite (a, b, v) SELECT ${values}, g FROM generate_series(1, 3000) g`,
    );
    if (key === '') await ends.run('both', 'CREATE UNIQUE INDEX ON public.composite (a DESC, b)');
    expect((await ends.compare('"public"."composite"', { chunkRows: 100 })).keys).toEqual([]);
    const { rows } = await ends.source.query('SELECT a::text, b::text FROM public.composite WHERE v = 1234');
    await ends.run('target', 'UPDATE public.composite SET v = 0 WHERE v = 1234');
    const { keys, sourceRows } = await ends.compare('"public"."composite"', { chunkRows: 100 });
    expect(sourceRows).toBe(3000);
    expect(keys).toEqual([expect.objectContaining({ kind: 'different', key: [rows[0].a, rows[0].b] })]);
  });
});

describe('a key of which only the first column is sorted alike', () => {
  const fill = async (table: string, first: string): Promise<void> => {
    await ends.run('both', `CREATE TABLE public.${table} (a int, k text, v int, PRIMARY KEY (a, k))`);
    await ends.run(
      'both',
      `INSERT INTO public.${table} SELECT ${first}, 'k' || g, g FROM generate_series(1, 50000) g; ANALYZE public.${table}`,
    );
  };

  it('is not read in one piece when that column is nearly always the same', async () => {
    await fill('of_one_tenant', 'CASE WHEN g % 1000 = 0 THEN g ELSE 1 END');
    await ends.run('target', 'UPDATE public.of_one_tenant SET v = 0 WHERE v = 1234');
    const chunks: number[] = [];
    const { keys, sourceRows } = await ends.compare('"public"."of_one_tenant"', {
      onChunk: (rows) => void chunks.push(rows),
    });
    expect(sourceRows).toBe(50_000);
    expect(Math.max(...chunks)).toBeLessThan(20_000);
    expect(keys).toEqual([expect.objectContaining({ kind: 'different', key: ['1', 'k1234'] })]);
  });

  it('is read in ranges of that column when it has many values', async () => {
    await fill('of_many_tenants', 'g / 10');
    const columns = await chunkColumns(ends.source, await ends.relation('"public"."of_many_tenants"'), 1000);
    expect(columns.map(({ name }) => name)).toEqual(['a']);
  });
});

describe('a relation without a key', () => {
  it('is compared as a multiset', async () => {
    await ends.run('both', 'CREATE TABLE public.bag (v text)');
    await ends.run('both', `INSERT INTO public.bag SELECT 'v' || g % 10 FROM generate_series(1, 100) g`);
    expect((await ends.compare('"public"."bag"')).keys).toEqual([]);
    await ends.run(
      'target',
      `DELETE FROM public.bag WHERE ctid = (SELECT min(ctid::text)::tid FROM public.bag WHERE v = 'v3')`,
    );
    await ends.run('target', `INSERT INTO public.bag VALUES ('v4'), ('v4')`);
    expect((await ends.compare('"public"."bag"')).differences).toEqual({
      'missing on target': 1,
      'extra on target': 2,
      different: 0,
    });
  });
});

describe('generated columns, which each end computes in its own way', () => {
  // Servers before 12 have none, so both ends are databases of the newer one.
  const sides: Record<'source' | 'target', Client> = {} as never;
  const run = async (sql: string): Promise<unknown> =>
    Promise.all([sides.source, sides.target].map((side) => side.query(sql)));
  const compare = async (name: string): Promise<RelationComparison> => {
    const relation = (await readRelations(sides.source, config())).find((each) => each.name === name) as Relation;
    return compareRelation({ ...sides, relation, chunkRows: 1000 });
  };
  beforeAll(async () => {
    for (const [side, factor] of [['source', 2] as const, ['target', 1000] as const]) {
      await ends.run('target', `CREATE DATABASE ${side}`);
      sides[side] = await ends.servers.target.connect(side);
      await sides[side].query(
        `CREATE FUNCTION public.own(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * ${factor}'`,
      );
    }
    const own = (column: string): string => `int GENERATED ALWAYS AS (public.own(${column})) STORED`;
    await run(`
      CREATE TABLE public.priced (id int PRIMARY KEY, v int, g ${own('v')});
      CREATE TABLE public.keyed (id int PRIMARY KEY, g ${own('id')}, h ${own('id')});
      CREATE TABLE public.keyless (v int, g ${own('v')});
      CREATE TABLE public.by_own (v int, g ${own('v')} PRIMARY KEY);
      INSERT INTO public.priced SELECT n, n FROM generate_series(1, 10) n;
      INSERT INTO public.keyed SELECT generate_series(1, 10);
      INSERT INTO public.keyless SELECT generate_series(1, 10);
      INSERT INTO public.by_own SELECT generate_series(1, 10)`);
  });
  afterAll(() => Promise.all(Object.values(sides).map((side) => side.end())));

  it.each(['priced', 'keyed', 'keyless'])('are no difference of %s, which nobody could repair', async (name) => {
    expect(await compare(name)).toMatchObject({ sourceRows: 10, targetRows: 10, keys: [] });
  });

  it('hide no other one', async () => {
    await sides.target.query('UPDATE public.priced SET v = 0 WHERE id = 7; DELETE FROM public.keyless WHERE v = 7');
    expect((await compare('priced')).keys).toMatchObject([{ kind: 'different', key: ['7'] }]);
    expect((await compare('keyless')).differences).toMatchObject({ 'missing on target': 1, 'extra on target': 0 });
  });

  it('are one where they are the key, by which changes find their rows', async () => {
    expect((await compare('by_own')).differences).toEqual({
      'missing on target': 10,
      'extra on target': 10,
      different: 0,
    });
  });
});

describe('the plans', () => {
  it('read each chunk by the index even when the statistics know nothing', async () => {
    await ends.run('both', 'CREATE TABLE public.fresh (id uuid PRIMARY KEY, pad text) WITH (autovacuum_enabled = off)');
    await ends.run(
      'both',
      `INSERT INTO public.fresh SELECT md5(g::text)::uuid, repeat('x', 200) FROM generate_series(1, 20000) g`,
    );
    const { chunks, keys } = await ends.compare('"public"."fresh"', { chunkRows: 500 });
    expect({ chunks, keys }).toEqual({ chunks: 41, keys: [] });
    for (const client of [ends.source, ends.target]) {
      // Statistics arrive late, at no promised time.
      const scans = await until(async () => {
        const { rows } = await client.query(
          `SELECT seq_scan::int AS seq, idx_scan::int AS idx FROM pg_stat_user_tables WHERE relname = 'fresh'`,
        );
        return rows[0].idx >= chunks ? rows[0] : undefined;
      });
      // The one is of the index's creation.
      expect(scans.seq).toBeLessThanOrEqual(1);
    }
  });
});

describe('a relation that cannot be compared', () => {
  it('is an error that tells why', async () => {
    await ends.run('source', 'CREATE TABLE public.only_here (id int PRIMARY KEY)');
    await expect(ends.compare('"public"."only_here"')).rejects.toThrow('relation "public.only_here" does not exist');
  });

  it('is an error that names both encodings where equal text would have unequal hashes', async () => {
    await ends.run('both', 'CREATE TABLE public.encoded (id int PRIMARY KEY)');
    await ends.run('target', `CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`);
    const target = await ends.servers.target.connect('latin');
    await expect(ends.compare('"public"."encoded"', { target })).rejects.toThrow(
      'source is encoded in UTF8 and target in LATIN1',
    );
    await target.end();
  });
});
