import type { Client } from 'pg';
import { rowHash, setHashSettings, type HashColumn } from '../../assets/agent/row-hash';
import { ident } from '../../assets/agent/sql';
import { readTypeShapes } from '../../assets/agent/type-shapes';
import { startPostgres, type TestPostgres } from '../helpers/postgres';

const types = `
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE DOMAIN ratio AS float8;
  CREATE DOMAIN share AS ratio CHECK (VALUE < 1e300);
  CREATE TYPE spot AS (name text, at float8);
  CREATE TYPE place AS (spot spot, note text);
  CREATE TYPE float_range AS RANGE (subtype = float8);`;

/** Every line: a type and a value whose text is not the same on every server, or in every session. */
const cases: [type: string, value: string][] = [
  ['double precision', '0.1::float8 + 0.2'],
  ['real', '1.1::real'],
  ['double precision[]', `ARRAY[0.1, NULL, 1e-5, 'NaN']`],
  ['real[]', 'ARRAY[ARRAY[1.1::real], ARRAY[2.3]]'],
  ['json', `'{"b": 1,  "a": 0.10}'`],
  ['jsonb', `'{"b": 1,  "a": 0.10}'`],
  ['timestamp with time zone', `'2024-03-31 02:30:00.123456+05:30'`],
  ['timestamp without time zone', `'0044-03-15 12:00 BC'`],
  ['interval', `'1 year 2 mons -3 days 04:05:06.789'`],
  ['bytea', `'\\x00ff10'`],
  ['text[]', `ARRAY['a,b', '"', NULL, '', 'NULL']`],
  ['spot', `ROW('x', 0.1::float8 + 0.2)`],
  ['spot', 'ROW(NULL, NULL)'],
  ['spot[]', `ARRAY[ROW('y', 0.7)::spot, NULL, ROW('x', 1.1)::spot]`],
  ['place', `ROW(ROW('x', 0.3)::spot, '(,)')`],
  ['mood', `'ok'`],
  ['ratio', '0.3'],
  ['share', '0.1::float8 * 3'],
  ['share[]', 'ARRAY[0.1::float8 * 3, 2]'],
  ['float_range', 'float_range(0.1, 0.7)'],
  ['point', 'point(0.1, 0.7)'],
  ['box[]', `ARRAY[box '(0.1,0.2),(0.3,0.4)']`],
  ['money', '12.34::money'],
  ['"char"', '-61'], // \303 in Latin-1, which 16 and later escape
  ['numeric(20,4)', '12345678901234.5'],
  ['character(5)', `'ab'`],
  ['inet', `'10.0.0.1/8'`],
];

describe('the hash of a row', () => {
  let servers: TestPostgres[];
  let old: Client;
  let recent: Client;
  beforeAll(async () => {
    servers = await Promise.all([startPostgres({ version: 11 }), startPostgres({ version: 17 })]);
    [old, recent] = (await Promise.all(servers.map((server) => server.connect()))) as [Client, Client];
    await recent.query('CREATE TYPE shifts_object_ids AS (a int)');
    for (const client of [old, recent]) await client.query(`${types}; ${setHashSettings('session')}`);
  });
  afterAll(() => Promise.all((servers ?? []).map((server) => server.stop())));

  const hash = async (client: Client, type: string, value: string): Promise<string> => {
    const { rows } = await client.query<{ oid: number }>('SELECT $1::regtype::oid::int8::int4 AS oid', [type]);
    const shape = (await readTypeShapes(client))(rows[0]!.oid);
    const columns: HashColumn[] = [{ name: 'V', type, shape }];
    const query = `SELECT ${rowHash(columns, 'r')} AS hash FROM (SELECT (${value})::${type} AS ${ident('V')}) r`;
    return (await client.query<{ hash: string }>(query)).rows[0]!.hash;
  };

  it.each(cases)('is the same on PostgreSQL 11 and 17 for %s %s', async (type, value) => {
    const [before, after] = [await hash(old, type, value), await hash(recent, type, value)];
    expect(before).toMatch(/^[0-9a-f]{32}$/);
    expect(after).toBe(before);
  });

  it.each(cases)('tells %s %s from NULL', async (type, value) => {
    expect(await hash(recent, type, value)).not.toBe(await hash(recent, type, 'NULL'));
  });

  it('sees the last bit of a floating point number, however deep it lies', async () => {
    const next = '0.30000000000000004';
    for (const [type, make] of [
      ['double precision', (v: string) => v],
      ['share[]', (v: string) => `ARRAY[${v}]`],
      ['place', (v: string) => `ROW(ROW('x', ${v})::spot, NULL)`],
      ['spot[]', (v: string) => `ARRAY[ROW('x', ${v})::spot]`],
      ['float_range', (v: string) => `float_range(0, ${v})`],
    ] as const) {
      expect(await hash(old, type, make('0.3'))).not.toBe(await hash(old, type, make(next)));
    }
  });

  it('tells NULL from the empty string and one column from the next', async () => {
    const columns = ['a', 'b'].map((name) => ({ name, type: 'text' }));
    const { rows } = await old.query<{ hash: string }>(
      `SELECT ${rowHash(columns)} AS hash FROM (VALUES ('', NULL), (NULL, ''), (NULL, NULL), ('', ''), ('ab', 'c'),
        ('a', 'bc'), ('a,b', 'c'), ('a', 'b,c'), ('"', ''), ('a"', '"')) v(a, b)`,
    );
    expect(new Set(rows.map((row) => row.hash)).size).toBe(10);
  });

  it('needs no catalog for built-in types', () => {
    expect(rowHash([{ name: 'x', type: 'double precision[]' }])).toContain('array_send');
    expect(rowHash([{ name: 'x', type: 'numeric(10,2)' }])).toBe(
      'pg_catalog.md5(ROW("x"::pg_catalog.text)::pg_catalog.text)',
    );
  });
});
