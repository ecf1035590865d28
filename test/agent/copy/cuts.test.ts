import type { Client } from 'pg';
import { readRelations, serverVersion, type Relation } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import { cut, selectPart, type Part } from '../../../assets/agent/copy/cuts';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

const TABLES = `
  CREATE TABLE ordered (id int, at timestamptz, name text, PRIMARY KEY (id, at));
  INSERT INTO ordered SELECT i / 3, timestamptz '2020-01-01' + i * interval '1 hour', repeat('x', i % 90) FROM generate_series(1, 20000) i;
  CREATE TABLE scattered (id uuid PRIMARY KEY, note text);
  INSERT INTO scattered SELECT md5(i::text)::uuid, repeat('y', i % 90) FROM generate_series(1, 20000) i;
  CREATE TABLE by_text (id text PRIMARY KEY, n int);
  INSERT INTO by_text SELECT 'key ' || i, i FROM generate_series(1, 20000) i;
  CREATE TABLE holes (id int PRIMARY KEY, filler text);
  INSERT INTO holes SELECT i, repeat('z', 100) FROM generate_series(1, 20000) i;
  DELETE FROM holes WHERE id % 5 <> 0;
  UPDATE holes SET filler = 'moved' WHERE id % 3 = 0;
  CREATE TABLE toasted (id int PRIMARY KEY, filler text);
  ALTER TABLE toasted ALTER filler SET STORAGE EXTERNAL;
  INSERT INTO toasted SELECT i, repeat('t', 50000) FROM generate_series(1, 30) i;
  CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1);
  CREATE TABLE empty (id int PRIMARY KEY);
  CREATE TABLE keyless (n int); INSERT INTO keyless SELECT generate_series(1, 20000);
  ANALYZE`;

describe.each([11, 17] as const)('a table on PostgreSQL %s', (major) => {
  let server: TestPostgres;
  let client: Client;
  let relations: Relation[];
  let version: number;
  beforeAll(async () => {
    server = await startPostgres({ version: major });
    client = await server.connect();
    await client.query(TABLES);
    await client.query('SET enable_seqscan = off');
    relations = await readRelations(client, {} as AgentConfig);
    version = await serverVersion(client);
  });
  afterAll(() => server.stop());

  const named = (name: string): Relation => relations.find((relation) => relation.name === name) as Relation;
  const parts = (name: string, bytes = 100_000): Promise<Part[]> => cut(client, named(name), version, bytes);
  const rowsOf = async (name: string, part: Part): Promise<string[]> => {
    const select = selectPart(named(name), '*', part, version);
    const { rows } = await client.query(
      part.kind === 'whole'
        ? `SELECT t::text AS row FROM ${named(name).sql} t`
        : `SELECT t::text AS row FROM ${select} t`,
    );
    return (rows as { row: string }[]).map(({ row }) => row);
  };

  it.each(['ordered', 'scattered', 'by_text', 'holes', 'toasted', 'small', 'empty', 'keyless'])(
    'is cut into parts that hold each row of %s once',
    async (name) => {
      const { rows } = await client.query(`SELECT t::text AS row FROM ${name} t`);
      const found: string[] = [];
      for (const part of await parts(name)) found.push(...(await rowsOf(name, part)));
      expect(found.sort()).toEqual((rows as { row: string }[]).map(({ row }) => row).sort());
    },
  );

  it('is read by pages where the server can, else by key where that needs no random reads', async () => {
    const kinds = async (name: string): Promise<string> => [...new Set((await parts(name)).map((p) => p.kind))].join();
    expect(await kinds('ordered')).toBe(major < 14 ? 'key' : 'pages');
    expect(await kinds('scattered')).toBe(major < 14 ? 'key' : 'pages');
    expect(await kinds('by_text')).toBe('pages');
    await client.query(`SET effective_cache_size = '1MB'`);
    expect(await kinds('ordered')).toBe(major < 14 ? 'key' : 'pages');
    expect(await kinds('scattered')).toBe('pages');
    await client.query('RESET effective_cache_size');
  });

  it('is read as a whole when it is small, or when no key would tell a row that is read twice', async () => {
    expect(await parts('small')).toEqual([{ kind: 'whole' }]);
    expect(await parts('keyless')).toEqual([{ kind: 'whole' }]);
    expect(await parts('scattered', 1e9)).toEqual([{ kind: 'whole' }]);
  });

  it('gives parts of about the same size', async () => {
    const sizes: number[] = [];
    for (const part of await parts('ordered')) sizes.push((await rowsOf('ordered', part)).length);
    expect(sizes.length).toBeGreaterThan(5);
    expect(Math.max(...sizes)).toBeLessThan((3 * 20_000) / sizes.length);
  });

  it('is not scanned whole for a part', async () => {
    const [, second] = await parts('by_text');
    const { rows } = await client.query(
      `EXPLAIN SELECT * FROM ${selectPart(named('by_text'), '*', second as Part, version)} s`,
    );
    const plan = (rows as { 'QUERY PLAN': string }[]).map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(/Tid (Range )?Scan/);
    expect(plan).not.toContain('Seq Scan');
  });

  it('has a last part that takes in what is added later', async () => {
    const all = await parts('holes');
    await client.query(`INSERT INTO holes SELECT i, repeat('new', 30) FROM generate_series(100001, 102000) i`);
    const { rows } = await client.query('SELECT count(*)::int AS n FROM holes');
    const found = new Set<string>();
    for (const part of all) for (const row of await rowsOf('holes', part)) found.add(row);
    expect(found.size).toBe((rows[0] as { n: number }).n);
    await client.query('DELETE FROM holes WHERE id > 100000');
  });
});
