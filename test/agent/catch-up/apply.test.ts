import type { Client } from 'pg';
import { installCapture } from '../../../assets/agent/capture/install';
import { installShared } from '../../../assets/agent/capture/objects';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import { applyFew } from '../../../assets/agent/catch-up/apply-few';
import { readBacklog, total } from '../../../assets/agent/catch-up/backlog';
import { connectTo } from '../../../assets/agent/connect';
import { Failure } from '../../../assets/agent/errors';
import { Lease, prepareLeases } from '../../../assets/agent/lease';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { OWN_CASTS } from '../../helpers/own-casts';
import { intercept, startMoving, WAYS, type Moving } from './moving';

const TABLES = `
  CREATE TYPE public.mood AS ENUM ('sad', 'happy', 'so so');
  CREATE DOMAIN public.code AS varchar(10) CHECK (VALUE <> '');
  CREATE TABLE public.item (id int PRIMARY KEY, label text UNIQUE, n int DEFAULT 0);
  CREATE TABLE public.pair (a text, b uuid, v int, PRIMARY KEY (b, a));
  CREATE TABLE public.by_text ("Key of it" text PRIMARY KEY, v int);
  CREATE TABLE public.by_enum (k public.mood PRIMARY KEY, v int);
  CREATE TABLE public.by_citext (k public.citext PRIMARY KEY, v int);
  CREATE TABLE public.by_domain (k public.code PRIMARY KEY, v int);
  CREATE DOMAIN public.mail AS public.citext;
  CREATE TABLE public.by_folded_domain (k public.mail PRIMARY KEY, v int);
  CREATE TABLE public.by_numeric (k numeric PRIMARY KEY, v int);
  CREATE TABLE public.by_time (k timestamptz PRIMARY KEY, v int);
  CREATE TABLE public.by_bytea (k bytea PRIMARY KEY, v int);
  CREATE TABLE public.by_char (k char(5) PRIMARY KEY, v int);
  CREATE TABLE public.by_unique (v int, k text COLLATE "C" NOT NULL UNIQUE);
  CREATE TABLE public.by_identity (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);
  CREATE TABLE public.awkward (id int PRIMARY KEY, t text, c varchar, f float8, r real, b bytea, n numeric, j jsonb,
    o json, a text[], i interval, d timestamptz, u uuid, x xml, h char(4));
  CREATE TABLE public.only_key (id int PRIMARY KEY);
  ${OWN_CASTS}`;

let moving: Moving;
let source: Client;
let target: Client;
beforeAll(async () => {
  moving = await startMoving(TABLES, `INSERT INTO item SELECT i, 'label ' || i FROM generate_series(1, 20) i`);
  ({ source, target } = moving);
});
afterAll(() => moving.migration.stop());

async function expectEqual(name: string): Promise<void> {
  const expected = await moving.rows('source', name);
  expect(await moving.rows('target', name)).toEqual(expected);
  expect(await moving.queued(name)).toBe(0);
}

describe.each(WAYS)('catch-up of a table %s brings to the target', (_way, way) => {
  beforeAll(async () => {
    await source.query(`DELETE FROM item; INSERT INTO item SELECT i, 'label ' || i FROM generate_series(1, 20) i`);
    await moving.apply('item');
  });

  it.each([
    ['what was inserted', `INSERT INTO item VALUES (100, 'new'), (101, NULL), (102, NULL)`, 3],
    [
      'what was updated, once for all changes of a row',
      `UPDATE item SET n = 1 WHERE id < 4; UPDATE item SET n = 2 WHERE id < 4`,
      3,
    ],
    ['what was deleted', 'DELETE FROM item WHERE id = 100', 1],
    ['a changed key', 'UPDATE item SET id = 200 WHERE id = 101', 2],
    [
      'a row that was deleted and inserted anew',
      `DELETE FROM item WHERE id = 5; INSERT INTO item VALUES (5, 'again')`,
      1,
    ],
    ['a row that came and went', 'INSERT INTO item VALUES (300); DELETE FROM item WHERE id = 300', 1],
    [
      "keys that take each other's place",
      'UPDATE item SET id = -1 WHERE id = 7; UPDATE item SET id = 7 WHERE id = 8; UPDATE item SET id = 8 WHERE id = -1',
      3,
    ],
    ['nothing, when nothing changed', 'SELECT 1', 0],
  ])('%s', async (_, statements, keys) => {
    await source.query(statements);
    expect(await moving.apply('item', way)).toBe(keys);
    await expectEqual('item');
  });

  it.each([
    [
      'pair',
      `('it''s', '00000000-0000-0000-0000-000000000001', 1), (E'tab\\t', '00000000-0000-0000-0000-000000000001', 2)`,
      `a = 'x\\'`,
    ],
    ['by_text', `('a', 1), ('A', 2), ('', 3), (E'\\\\N', 4), ('ä 😀', 5)`, `"Key of it" = 'B'`],
    ['by_enum', `('sad', 1), ('so so', 2)`, `k = 'happy'`],
    ['by_citext', `('Straße', 1), ('abc', 2)`, `k = upper(k::text)`],
    ['by_domain', `('a', 1), ('b', 2)`, `k = 'z'`],
    ['by_folded_domain', `('A@b', 1), ('c@d', 2)`, `k = upper(k::text)`],
    ['by_numeric', `(1.0, 1), (-0.00000000000000000001, 2), ('NaN', 3)`, `k = 1e50`],
    ['by_time', `('2020-02-29 12:34:56.789012+01', 1), ('infinity', 2), ('0044-03-15 BC', 3)`, `k = '-infinity'`],
    ['by_bytea', `('\\x00', 1), ('', 2), ('\\x5c5c', 3)`, `k = '\\xff'`],
    ['by_char', `('a', 1), ('b  ', 2)`, `k = 'c'`],
    ['by_unique', `(1, 'a'), (1, 'B')`, `k = 'ß'`],
    ['by_own', `('a', 1), ('b', 2)`, `k = 'c'`],
    ['by_own_domain', `('[1,2)', 1), ('[3,4)', 2)`, `k = '[5,6)'`],
  ])('keys of %s', async (name, values, change) => {
    await source.query(`INSERT INTO ${name} VALUES ${values}`);
    await moving.apply(name, way);
    await expectEqual(name);
    const first = `ctid = (SELECT min(ctid::text)::tid FROM ${name})`;
    await source.query(`UPDATE ${name} SET ${change} WHERE ${first}; UPDATE ${name} SET v = 77 WHERE v = 2`);
    await moving.apply(name, way);
    await expectEqual(name);
    await source.query(`DELETE FROM ${name}`);
    expect(await moving.apply(name, way)).toBeGreaterThan(0);
    expect(await moving.rows('target', name)).toEqual([]);
  });

  it('keys as their types write them, which are marked to be compared again', async () => {
    const relation = moving.relation('by_own');
    const dirty = await DirtyKeys.open(moving.context);
    const pair = { ...(await moving.sessions()), dirty };
    try {
      await dirty.begin(source, [relation]);
      await source.query(`INSERT INTO by_own VALUES ('a', 1)`);
      await way(pair, moving.lease, relation);
      expect(await dirty.oldest([relation], 10)).toMatchObject([{ name: 'by_own', key: ['a'] }]);
    } finally {
      await source.query('DELETE FROM by_own');
      await moving.apply('by_own');
      await dirty.forgetAll();
      await Promise.all([pair.source.end(), pair.target.end(), dirty.close()]);
    }
  });

  it('values of identity columns as they are, and tables of nothing but a key', async () => {
    await source.query('DELETE FROM only_key');
    await source.query(
      'INSERT INTO by_identity (v) SELECT 1 FROM generate_series(1, 3); INSERT INTO only_key VALUES (1), (2)',
    );
    await moving.apply('by_identity', way);
    await moving.apply('only_key', way);
    await expectEqual('by_identity');
    await expectEqual('only_key');
  });

  it('values that lose something when they are written carelessly', async () => {
    await source.query(`DELETE FROM awkward; INSERT INTO awkward VALUES
      (1, '', NULL, '-0', '-0', '', 'NaN', 'null', ' {"a" : 1, "a": 2} ', '{}', '1 mon -1 day', 'infinity', NULL, '<a/>', ''),
      (2, NULL, '', 'NaN', 'NaN', '\\x00', 0.10, '"\\u00e4"', 'null', ARRAY[NULL, 'NULL', '', '"', '{', E'\\\\'], '-0.000001 s', '0001-01-01 BC', NULL, NULL, 'a'),
      (3, E'tab\\t nl\\n cr\\r bs\\b ff\\f vt\\x0b \\\\ \\\\. \\\\N', E'\\\\.', 0.1::float8 + 0.2::float8, 0.1, '\\x5c2e0a', 1e-30, '[]', '[ ]', '{{a,b},{c,d}}', '178000000 years', '294276-12-31', NULL, NULL, 'ab  '),
      (4, '😀 ä', 'NULL', 'Infinity', '-Infinity', repeat('\\\\', 1000)::bytea, 1e300, '1e400', '1e400', NULL, '0', '-infinity', NULL, NULL, NULL),
      (5, repeat('x', 3000000), NULL, 5e-324, 1e-45, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
      (6, NULL, NULL, 1.7976931348623157e308, 3.4028235e38, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`);
    await moving.apply('awkward', way);
    const bits = `SELECT id, t, c, float8send(f) AS f, float4send(r) AS r, b, n::text, j::text, o::text, a::text, i::text,
      d::text, x::text, h FROM public.awkward ORDER BY id`;
    const settings = `SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'`;
    await Promise.all([source.query(settings), target.query(settings)]);
    expect((await target.query(bits)).rows).toEqual((await source.query(bits)).rows);
    expect((await target.query('SELECT count(*)::int AS n FROM public.awkward')).rows).toEqual([{ n: 6 }]);
  });

  it('unique values that moved from row to row, with the constraint in place', async () => {
    const label = (id: number, text: string): string => `UPDATE item SET label = '${text}' WHERE id = ${id};`;
    await source.query(label(11, 'x') + label(12, 'label 11') + label(11, 'label 12'));
    await moving.apply('item', way);
    await expectEqual('item');
    for (let turn = 0; turn < 3; turn += 1) {
      await source.query(`
        UPDATE item SET label = 'turning ' || id WHERE id BETWEEN 11 AND 19;
        UPDATE item SET label = 'label ' || (id - 11 + ${turn + 1}) % 9 + 11 WHERE id BETWEEN 11 AND 19`);
      await moving.apply('item', way);
      await expectEqual('item');
    }
  });
});

describe('catch-up brings to the target', () => {
  it('a table that was truncated, whole, with what came afterwards', async () => {
    await source.query(
      `UPDATE item SET n = 9 WHERE id = 1; TRUNCATE item; INSERT INTO item SELECT i, 'b' || i FROM generate_series(3, 30) i`,
    );
    await moving.apply('item');
    await expectEqual('item');
    expect((await source.query('SELECT 1 FROM bucardo.ibex_truncated')).rowCount).toBe(0);
    await source.query('TRUNCATE item');
    expect(total(await readBacklog(source, moving.relations(), 10))).toBe(1);
    await moving.apply('item');
    expect(await moving.rows('target', 'item')).toEqual([]);
    expect(total(await readBacklog(source, moving.relations(), 10))).toBe(0);
  });
});

describe.each(WAYS)('catch-up of a table %s forgets a change', (_way, way) => {
  beforeEach(async () => {
    await source.query(`DELETE FROM item; INSERT INTO item SELECT i, 'l' || i FROM generate_series(1, 5) i`);
    await moving.apply('item');
  });

  it('not when the same row is written again between reading and forgetting', async () => {
    const pair = await moving.sessions();
    let writes = 0;
    intercept(pair.source, (text) => {
      if (!text.startsWith('DELETE FROM "bucardo"."delta_public_item"')) return undefined;
      writes += 1;
      return source.query(`UPDATE item SET n = 100 + n WHERE id = 2; DELETE FROM item WHERE id = 3`);
    });
    await source.query('UPDATE item SET n = 1 WHERE id IN (2, 3)');
    expect(await way(pair, moving.lease, moving.relation('item'))).toBe(2);
    expect(writes).toBe(1);
    expect(await moving.queued('item')).toBe(2);
    expect(await moving.apply('item')).toBe(2);
    await expectEqual('item');
  });

  /** Columns and types are the same afterwards, and every row is new to a snapshot that is older. */
  const REWRITE = 'ALTER TABLE item ADD more float8 DEFAULT random(); ALTER TABLE item DROP more';

  it.each([
    ['truncated', 'TRUNCATE item; INSERT INTO item VALUES (50)'],
    ['rewritten', REWRITE],
  ])('and loses no row when the table is to be %s between reading keys and rows: that has to wait', async (_, ddl) => {
    const pair = await moving.sessions();
    const other = await moving.migration.admin('source');
    const refused: string[] = [];
    intercept(pair.source, (text) =>
      text.startsWith('COPY (SELECT') && text.includes('FROM ONLY "public"."item"')
        ? other.query(`SET lock_timeout = '200ms'; ${ddl}`).catch((error: Error) => refused.push(error.message))
        : undefined,
    );
    await source.query('UPDATE item SET n = 1 WHERE id IN (2, 3)');
    expect(await way(pair, moving.lease, moving.relation('item'))).toBe(2);
    await expectEqual('item');
    expect(refused).toEqual(['canceling statement due to lock timeout']);
    await other.query(`SET lock_timeout = 0; ${ddl}`);
    await moving.apply('item');
    await expectEqual('item');
  });

  it('only after the target has committed, durably', async () => {
    const pair = await moving.sessions();
    const order: string[] = [];
    intercept(pair.source, (text) => void order.push(`source ${text.slice(0, 6)}`));
    intercept(pair.target, (text) => void order.push(`target ${text.slice(0, 6)}`));
    await source.query('UPDATE item SET n = 1 WHERE id = 2');
    await way(pair, moving.lease, moving.relation('item'));
    const firstForgotten = order.findIndex((each) => each === 'source DELETE');
    expect(order.indexOf('target COMMIT')).toBeGreaterThan(0);
    expect(firstForgotten).toBeGreaterThan(order.indexOf('target COMMIT'));
    expect(order.at(-1)).toBe('source COMMIT');
    await pair.target.query(`SELECT set_config('search_path', 'pg_catalog', false)`);
    expect((await pair.target.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }]);
  });

  it('after trying again, when a purge met it at the same change', async () => {
    const pair = await moving.sessions();
    let attempts = 0;
    intercept(pair.source, (text) => {
      if (!text.startsWith('DELETE FROM "bucardo"."delta_public_item"')) return undefined;
      attempts += 1;
      return attempts > 1 ? undefined : source.query('DELETE FROM bucardo.delta_public_item WHERE id = 2');
    });
    await source.query('UPDATE item SET n = 1 WHERE id IN (2, 3)');
    expect(await way(pair, moving.lease, moving.relation('item'))).toBe(1);
    expect(attempts).toBe(2);
    await expectEqual('item');
  });
});

describe('catch-up stops, names the table, and forgets and skips nothing', () => {
  const asReplica = (statement: string): string =>
    `BEGIN; SET LOCAL session_replication_role = 'replica'; ${statement}; COMMIT`;

  it('when a row of somebody else on the target has the same unique value', async () => {
    await target.query(asReplica(`INSERT INTO public.item VALUES (900, 'mine')`));
    await source.query(`INSERT INTO item VALUES (60, 'mine'), (61, 'innocent')`);
    const failure = (await moving.apply('item').catch((error: Error) => error)) as Error;
    expect(failure).toBeInstanceOf(Failure);
    expect(failure.message).toBe(
      '"public"."item" cannot be applied: a row of the target has the same value under "item_label_key" ' +
        '(Key (label)=(mine) already exists.); nothing was skipped; find who wrote the target, and start again',
    );
    expect(await moving.queued('item')).toBe(2);
    expect((await target.query('SELECT id FROM public.item WHERE id IN (60, 61)')).rows).toEqual([]);
    await target.query(asReplica('DELETE FROM public.item WHERE id = 900'));
    expect(await moving.apply('item')).toBe(2);
    await expectEqual('item');
  });

  it('when the target cannot hold a value', async () => {
    await target.query('ALTER TABLE public.by_text ADD CONSTRAINT small CHECK (v < 100)');
    await source.query(`INSERT INTO by_text VALUES ('big', 1000), ('small', 1)`);
    await expect(moving.apply('by_text')).rejects.toThrow(
      /^"public"\."by_text" cannot be applied: .* violates check constraint "small" \(COPY by_text, line 1: .*\); the row came to be without that constraint, .*; nothing was forgotten; start again$/,
    );
    expect(await moving.queued('by_text')).toBe(2);
    expect(await moving.rows('target', 'by_text')).toEqual([]);
    await target.query('ALTER TABLE public.by_text DROP CONSTRAINT small');
    await moving.apply('by_text');
    await expectEqual('by_text');
  });

  it('when a column is gone at the source', async () => {
    await source.query('INSERT INTO only_key VALUES (70); ALTER TABLE only_key RENAME id TO no');
    await expect(moving.apply('only_key')).rejects.toThrow(
      /"public"\."only_key" cannot be applied: column .*id.* does not exist/,
    );
    await source.query('ALTER TABLE only_key RENAME no TO id');
    await moving.apply('only_key');
    await expectEqual('only_key');
  });
});

test('what fails of several tables at once is laid to none of them', async () => {
  const pair = await moving.sessions();
  intercept(pair.source, (text) => (text.startsWith('(SELECT 0') ? Promise.reject(new Error('cut off')) : undefined));
  const several = ['item', 'by_text'].map((name) => moving.relation(name));
  await expect(applyFew(pair, moving.lease, several)).rejects.toThrow(/^cut off$/);
  await Promise.all([pair.source.end(), pair.target.end()]);
});

describe('a source of a newer major', () => {
  /** Since 12 a comparison of text must know its collation: that of the table, since the queue has the default one. */
  const TABLES_OF_COLLATIONS = `
    CREATE COLLATION public.fold (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE public.plain (k text COLLATE "C" PRIMARY KEY, v int);
    CREATE TABLE public.folded (k text COLLATE public.fold PRIMARY KEY, v int)`;

  it('has keys of any collation, and columns that the server computes', async () => {
    const { migration, context } = moving;
    await migration.fresh();
    const endpoint = { ...(await context.endpoint('target')), database: migration.config.target.database ?? '' };
    const boss = await migration.admin('target', 'postgres');
    await boss.query('CREATE DATABASE newer OWNER master');
    const open = (database: string): Promise<Client> => connectTo({ ...endpoint, database }, 'catch-up');
    const newer = await open('newer');
    const pair = { source: await open('newer'), target: await open(endpoint.database) };
    for (const client of [newer, pair.target]) {
      await client.query(
        `${TABLES_OF_COLLATIONS}; ALTER TABLE public.plain ADD twice int GENERATED ALWAYS AS (v * 2) STORED`,
      );
    }
    await installShared(newer);
    const relations = await readRelations(newer, migration.config);
    for (const relation of relations) await installCapture(context, newer, relation);
    await prepareLeases(pair.target, relations);
    const lease = await Lease.take(pair.target, 'catch-up');
    for (const relation of relations) {
      await newer.query(`INSERT INTO ${relation.sql} (k, v) VALUES ('a', 1), ('B', 2), ('c', 3)`);
      await applyChanges(pair, lease, relation);
      await newer.query(`UPDATE ${relation.sql} SET k = 'A' WHERE k = 'a'; DELETE FROM ${relation.sql} WHERE k = 'c'`);
      await applyChanges(pair, lease, relation);
      const rows = `SELECT * FROM ${relation.sql} ORDER BY v`;
      expect((await pair.target.query(rows)).rows).toEqual((await newer.query(rows)).rows);
      expect((await pair.target.query(rows)).rows).toMatchObject([{ k: 'A' }, { k: 'B' }]);
    }
  });
});
