import type { Client } from 'pg';
import { rowHash, setHashSettings, type HashColumn } from '../../assets/agent/row-hash';
import { ident } from '../../assets/agent/sql';
import { readTypeShapes } from '../../assets/agent/type-shapes';
import type { AgentConfig } from '../../assets/agent/config';
import type { Relation } from '../../assets/agent/catalog/relations';
import { readFormats } from '../../assets/agent/copy/format';
import { pipe } from '../../assets/agent/copy/pipe';
import { compareCatalogs } from '../../assets/agent/verify/compare-catalogs';
import { startPostgres, type TestPostgres } from '../helpers/postgres';

const types = `
  CREATE EXTENSION citext; CREATE EXTENSION hstore;
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE DOMAIN ratio AS float8;
  CREATE DOMAIN share AS ratio CHECK (VALUE < 1e300);
  CREATE TYPE spot AS (name text, at float8);
  CREATE TYPE place AS (spot spot, note text);
  CREATE TYPE visit AS (at timestamptz, what jsonb, raw bytea, cost numeric);
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
  ['float_range', 'float_range(0.1, 0.7)'],
  ['point', 'point(0.1, 0.7)'],
  ['box[]', `ARRAY[box '(0.1,0.2),(0.3,0.4)']`],
  ['money', '12.34::money'],
  ['"char"', '-61'], // \303 in Latin-1, which 16 and later escape
  ['numeric(20,4)', '12345678901234.5'],
  ['numeric', `'NaN'`],
  ['numeric', '-0.000'],
  ['numeric', '1e40::numeric + 1e-40'],
  ['numeric[]', `ARRAY[1.10, NULL, 'NaN']`],
  ['json', `'{"a": "\\u00e4", "a": null, "n": 1e400}'`],
  ['json[]', `ARRAY['{"b": 1, "a": 2}'::json, 'null', NULL]`],
  ['jsonb', `'{"bb": 1e5, "a": 12345678901234567890.10, "é": [true, null, "\\""]}'`],
  ['jsonb[]', `ARRAY['{"b": 1}'::jsonb, 'null', NULL]`],
  ['timestamp with time zone', `'infinity'`],
  ['timestamp with time zone[]', `ARRAY['2024-03-31 01:30Z'::timestamptz, '-infinity', NULL]`],
  ['date', `'0044-03-15 BC'`],
  ['time with time zone', `'24:00:00-15:59'`],
  ['interval', `'-1 mons +2 days -00:00:00.000001'`],
  ['interval', `'178000000 years'`],
  ['interval[]', `ARRAY['1 day'::interval, '24 hours', NULL]`],
  ['bytea[]', `ARRAY['\\x00ff'::bytea, '', NULL]`],
  ['integer[]', `'[0:1]={1,2}'`],
  ['integer[]', `'{}'`],
  ['citext', `'MiXed'`],
  ['citext[]', `ARRAY['MiXed'::citext, NULL]`],
  ['hstore', `'b=>1, a=>NULL'`],
  ['visit', `ROW('2024-03-31 01:30Z', '{"b": 1, "a": [0.10]}', '\\x00', 1.50)`],
  ['visit[]', `ARRAY[ROW(NULL, 'null', '', 'NaN')::visit, NULL]`],
  ['tsvector', `'b:2A a:1'`],
  ['bit varying', `B'101'`],
  ['uuid', `'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`],
  ['tstzrange', `'[2024-03-31 01:30Z,infinity)'`],
  ['character(5)', `'ab'`],
  ['inet', `'10.0.0.1/8'`],
];

let servers: TestPostgres[];
let old: Client;
let recent: Client;
beforeAll(async () => {
  servers = await Promise.all([startPostgres({ version: 10 }), startPostgres({ version: 18 })]);
  [old, recent] = (await Promise.all(servers.map((server) => server.connect()))) as [Client, Client];
  await recent.query('CREATE TYPE shifts_object_ids AS (a int)');
  for (const client of [old, recent]) await client.query(`${types}; ${setHashSettings('session')}`);
});
afterAll(() => Promise.all((servers ?? []).map((server) => server.stop())));

describe('the hash of a row', () => {
  const hash = async (client: Client, type: string, value: string): Promise<string> => {
    const { rows } = await client.query<{ oid: number }>('SELECT $1::regtype::oid::int8::int4 AS oid', [type]);
    const shape = (await readTypeShapes(client))(rows[0]!.oid);
    const columns: HashColumn[] = [{ name: 'V', type, shape }];
    const query = `SELECT ${rowHash(columns, 'r')} AS hash FROM (SELECT (${value})::${type} AS ${ident('V')}) r`;
    return (await client.query<{ hash: string }>(query)).rows[0]!.hash;
  };

  it.each(cases)('is the same on PostgreSQL 10 and 18 for %s %s', async (type, value) => {
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
      // Arrays of domains came with 11.
      const client = type === 'share[]' ? recent : old;
      expect(await hash(client, type, make('0.3'))).not.toBe(await hash(client, type, make(next)));
    }
  });

  it.each([
    ['xml', `'<?xml version="1.0" encoding="ISO-8859-1"?><a/>'`],
    ['xml[]', `ARRAY['<?xml version="1.0" encoding="ISO-8859-1"?><a/>'::xml, NULL]`],
    ['double precision', `'Infinity'::float8 - 'Infinity'`],
    ['real', `'Infinity'::real - 'Infinity'`],
    ['double precision[]', `ARRAY[ARRAY['Infinity'::float8 - 'Infinity', NULL], ARRAY['-0', 0.1]]`],
    ['real[]', `ARRAY['Infinity'::real - 'Infinity', NULL, '-0', 0.1]`],
    ['place', `ROW(ROW('x', 'Infinity'::float8 - 'Infinity')::spot, '(,)')`],
    ['spot[]', `ARRAY[ROW('x', 'Infinity'::float8 - 'Infinity')::spot, NULL]`],
    // A server keeps the place for NULLs when the last of them has gone.
    ['double precision[]', `('{0.1,0.7,NULL}'::float8[])[1:2]`],
    ['real[]', `('{{0.1,NULL},{0.7,NULL}}'::real[])[1:2][1:1]`],
    ['money[]', `('{1.10,NULL}'::money[])[1:1]`],
    ['point[]', `('{"(0.1,0.7)",NULL}'::point[])[1:1]`],
    ['"char"[]', `('{a,NULL}'::"char"[])[1:1]`],
  ])('is the same for %s %s once it was moved as text', async (type, value) => {
    for (const client of [old, recent]) await client.query(`CREATE TEMP TABLE moved (v ${type})`);
    try {
      await old.query(`INSERT INTO moved VALUES (${value})`);
      await pipe(old, 'COPY moved TO STDOUT', recent, 'COPY moved FROM STDIN');
      const moved = '(SELECT v FROM moved)';
      expect(await hash(recent, type, moved)).toBe(await hash(old, type, moved));
    } finally {
      for (const client of [old, recent]) await client.query('DROP TABLE moved');
    }
  });

  it('tells -0 from 0, as text does', async () => {
    for (const [type, make] of [
      ['double precision', (v: string) => `'${v}'`],
      ['real', (v: string) => `'${v}'`],
      ['double precision[]', (v: string) => `ARRAY['${v}', 'NaN']`],
    ] as const) {
      expect(await hash(old, type, make('-0'))).not.toBe(await hash(old, type, make('0')));
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

  it('is by the output function of a type, whatever cast to text its owner made', async () => {
    const sly = `
      CREATE TYPE sly AS ENUM ('a', 'b'); CREATE DOMAIN sly_domain AS sly; CREATE TYPE sly_pair AS (s sly, x float8);
      CREATE FUNCTION called(sly) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
      CREATE FUNCTION called(sly[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''called''; END';
      CREATE CAST (sly AS text) WITH FUNCTION called(sly);
      CREATE CAST (sly[] AS text) WITH FUNCTION called(sly[])`;
    for (const client of [old, recent]) {
      await client.query(sly);
      await expect(client.query(`SELECT 'a'::sly::text`)).rejects.toThrow('called');
    }
    for (const [type, make] of [
      ['sly', (v: string) => `'${v}'`],
      ['sly_domain', (v: string) => `'${v}'`],
      ['sly[]', (v: string) => `ARRAY['${v}']`],
      ['sly_pair', (v: string) => `ROW('${v}', 0.1)`],
      ['sly_pair[]', (v: string) => `ARRAY[ROW('${v}', 0.1)::sly_pair]`],
    ] as const) {
      expect(await hash(old, type, make('a'))).toBe(await hash(recent, type, make('a')));
      expect(await hash(old, type, make('a'))).not.toBe(await hash(old, type, make('b')));
      expect(await hash(old, type, make('a'))).not.toBe(await hash(old, type, 'NULL'));
    }
  });

  it('needs no catalog for built-in types', () => {
    expect(rowHash([{ name: 'x', type: 'double precision[]' }])).toContain('array_send');
    expect(rowHash([{ name: 'x', type: 'numeric(10,2)' }])).toBe(
      'pg_catalog.md5(ROW("x"::pg_catalog.text)::pg_catalog.text)',
    );
  });

  it('reads types whose object ids no integer holds', async () => {
    await recent.query('BEGIN');
    try {
      await recent.query(`
        CREATE TEMP TABLE copied AS SELECT * FROM pg_type WHERE oid = 'mood'::regtype;
        UPDATE copied SET oid = 3000000000, typname = 'far';
        INSERT INTO pg_type SELECT * FROM copied`);
      expect((await readTypeShapes(recent))(3_000_000_000)).toEqual({ kind: 'scalar', type: 'far', foreign: true });
    } finally {
      await recent.query('ROLLBACK');
    }
  });

  it('costs no more for built-in types that were read from the catalog', async () => {
    const shapes = await readTypeShapes(recent);
    const { rows } = await recent.query<{ name: string; oid: number }>(
      `SELECT format_type(t.oid, NULL) AS name, t.oid::int8::int4 AS oid FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
      WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND (e.typtype = 'b' OR e.oid IS NULL)`,
    );
    for (const { name, oid } of rows) {
      expect(rowHash([{ name: 'x', type: name, shape: shapes(oid) }])).toBe(rowHash([{ name: 'x', type: name }]));
    }
  });
});

/** A sample of every built-in type that goes in binary. */
const binary: Readonly<Record<string, string>> = {
  bool: 'true',
  bytea: `'\\x00ff5c'`,
  char: `'a'`,
  int2: '-32768',
  int4: '-2147483648',
  int8: '-9223372036854775808',
  float4: '1.1',
  float8: '0.1::float8 + 0.2',
  numeric: '-12345678901234567890.0012300',
  text: `E'tab\\t ä 😀'`,
  varchar: `''`,
  bpchar: `'ab  '`,
  name: `'pg_class'`,
  json: `'{"b": 1,  "a": 0.10}'`,
  jsonb: `'{"b": [1.50, null], "a": "\\u00e4"}'`,
  uuid: `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`,
  date: `'0044-03-15 BC'`,
  time: `'24:00'`,
  timetz: `'12:34:56.789-15:59'`,
  timestamp: `'294276-12-31 23:59:59.999999'`,
  timestamptz: `'-infinity'`,
  interval: `'-1 mons +2 days -00:00:00.000001'`,
  bit: `B'101'`,
  varbit: `B'1010101010'`,
  inet: `'10.0.0.1/8'`,
  cidr: `'2001:db8::/32'`,
  macaddr: `'08:00:2b:01:02:03'`,
  macaddr8: `'08:00:2b:01:02:03:04:05'`,
  point: `'(0.1,0.7)'`,
  line: `'{1,2,0.3}'`,
  lseg: `'[(0.1,0.2),(0.3,0.4)]'`,
  box: `'(0.1,0.2),(0.3,0.4)'`,
  path: `'[(0.1,0.2),(0.3,0.4)]'`,
  polygon: `'((0.1,0.2),(0.3,0.4),(1,1))'`,
  circle: `'<(0.1,0.2),0.3>'`,
  tsvector: `'b:2A a:1'`,
  int4range: `'[1,5)'`,
  int8range: `'empty'`,
  numrange: `'(,1.50]'`,
  tsrange: `'[2024-01-01,infinity)'`,
  tstzrange: `'[2024-01-01 00:00Z,)'`,
  daterange: `'[2024-01-01,2024-02-01)'`,
};

describe('binary COPY from PostgreSQL 10 to 18', () => {
  const rows = async (client: Client, table: string, type: string): Promise<string[]> => {
    const columns = [
      { name: 'v', type },
      { name: 'a', type: `${type}[]` },
    ];
    const { rows: found } = await client.query<{ hash: string }>(`SELECT ${rowHash(columns)} AS hash FROM ${table}`);
    return found.map((row) => row.hash).sort();
  };

  it('has a sample of each type that the copy sends so', async () => {
    const format = await readFormats(old);
    const { rows: known } = await old.query<{ name: string; oid: number }>(
      `SELECT typname AS name, oid::int8::int4 AS oid FROM pg_type
      WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r') AND typcategory <> 'A'`,
    );
    const sent = known.filter(({ oid }) => format({ columns: [{ typeOid: oid }] } as unknown as Relation) === 'binary');
    expect(sent.map(({ name }) => name).sort()).toEqual(Object.keys(binary).sort());
  });

  it.each(Object.entries(binary))('brings %s whole, and arrays of it', async (name, value) => {
    const [type, table] = [`pg_catalog."${name}"`, ident(`copied ${name}`)];
    for (const client of [old, recent]) await client.query(`CREATE TABLE ${table} (v ${type}, a ${type}[])`);
    await old.query(
      `INSERT INTO ${table} VALUES (${value}, ARRAY[(${value})::${type}, NULL]), (NULL, NULL), (NULL, '{}')`,
    );
    await pipe(old, `COPY ${table} TO STDOUT (FORMAT binary)`, recent, `COPY ${table} FROM STDIN (FORMAT binary)`);
    const { rows: types } = await old.query<{ type: string }>(`SELECT $1::regtype::text AS type`, [type]);
    const before = await rows(old, table, types[0]!.type);
    expect(before).toHaveLength(3);
    expect(await rows(recent, table, types[0]!.type)).toEqual(before);
  });
});

it('the catalogs of PostgreSQL 10 and 18 are equal where they were made alike', async () => {
  const schema = `
    CREATE SCHEMA app; SET search_path = app, pg_catalog;
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN short AS varchar(5) NOT NULL DEFAULT '' CHECK (VALUE <> 'x');
    CREATE TABLE item (
      id bigserial PRIMARY KEY, n int GENERATED BY DEFAULT AS IDENTITY, at timestamptz NOT NULL DEFAULT now(),
      status varchar(9) DEFAULT 'new' CHECK (status IN ('new', 'done')), mood mood, name text COLLATE "C",
      parent bigint REFERENCES item ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
      during int4range, UNIQUE (n, name), EXCLUDE USING gist (during WITH &&));
    CREATE INDEX item_lower ON item (lower(name) DESC) WHERE mood = 'ok';
    CREATE TABLE event (id int NOT NULL DEFAULT 1, at date) PARTITION BY RANGE (at);
    CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION add(a int, VARIADIC b int[] DEFAULT '{}', OUT c int) LANGUAGE sql STABLE STRICT AS 'SELECT a';
    CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
    CREATE TRIGGER touch BEFORE UPDATE OF name OR DELETE ON item FOR EACH ROW WHEN (OLD.name IS NOT NULL) EXECUTE PROCEDURE touch();
    CREATE VIEW named AS SELECT id, name FROM item;
    CREATE RULE quiet AS ON DELETE TO item WHERE OLD.n < 0 DO INSTEAD NOTHING;
    ALTER TABLE item ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON item FOR UPDATE USING (id > 0) WITH CHECK (n > 0);
    RESET search_path`;
  for (const client of [old, recent]) await client.query(schema);
  const config = { excludeSchemas: ['public'] } as unknown as AgentConfig;
  const path = `SET search_path = pg_catalog`;
  await Promise.all([old.query(path), recent.query(path)]);
  const { failures, warnings, objects } = await compareCatalogs(old, recent, config);
  expect({ failures, warnings }).toEqual({ failures: [], warnings: [] });
  expect(objects).toMatchObject({
    'default of column': 5,
    'identity of column': 1,
    trigger: 1,
    policy: 1,
    aggregate: 1,
  });
});
