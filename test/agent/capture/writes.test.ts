import type { Client } from 'pg';
import { DBGROUP } from '../../../assets/agent/bucardo/names';
import { readLag } from '../../../assets/agent/bucardo/queues';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { runCapture, takeKeys } from './recorded';

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query(`
    CREATE ROLE clerk LOGIN; CREATE ROLE owner_of_things NOLOGIN;
    CREATE TABLE item (id int PRIMARY KEY, label text UNIQUE, n int DEFAULT 0);
    CREATE TABLE pair (a text, b uuid, v int, PRIMARY KEY (b, a));
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE measure (at int, v int, PRIMARY KEY (at)) PARTITION BY RANGE (at);
    CREATE TABLE measure_low PARTITION OF measure FOR VALUES FROM (0) TO (100);
    CREATE TABLE measure_high PARTITION OF measure FOR VALUES FROM (100) TO (200);
    CREATE FUNCTION add_item(i int) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO public.item VALUES (i)';
    ALTER FUNCTION add_item(int) OWNER TO owner_of_things;
    GRANT ALL ON item TO owner_of_things, clerk`);
  await runCapture(migration);
});
afterAll(() => migration.stop());

const item = (): Promise<string[]> => takeKeys(source, 'delta_public_item');

it('makes what belongs to a table in few transactions, each of which has the source flush its log', async () => {
  const { rows } = await source.query(
    `SELECT count(*)::int AS objects, count(DISTINCT xmin::text)::int AS transactions FROM pg_class
     WHERE relnamespace = 'bucardo'::regnamespace AND relname LIKE '%\\_public\\_item'`,
  );
  expect(rows).toEqual([{ objects: 6, transactions: 2 }]);
});

it('is refused of a key that no operator compares: its trigger would have each update refused', async () => {
  await source.query(`
    CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN feeling AS mood;
    CREATE TABLE felt (k feeling PRIMARY KEY, n int); INSERT INTO felt VALUES ('sad', 1)`);
  await expect(runCapture(migration)).rejects.toThrow(
    '"public"."felt" has no usable key (key column "k" is a domain over an enum, which has no operators; add another key)',
  );
  await source.query('UPDATE felt SET n = 2; DROP TABLE felt; DROP DOMAIN feeling; DROP TYPE mood');
});

describe('capture records the key of every changed row', () => {
  beforeEach(async () => {
    await source.query('DELETE FROM item; INSERT INTO item SELECT i, i::text FROM generate_series(1, 5) i');
    await item();
  });

  it.each([
    ['an insert', 'INSERT INTO item VALUES (6)', ['6']],
    ['an insert of many', 'INSERT INTO item SELECT i FROM generate_series(7, 9) i', ['7', '8', '9']],
    ['an update, once', 'UPDATE item SET n = n + 1 WHERE id = 1', ['1']],
    ['an update that changes nothing', 'UPDATE item SET n = n WHERE id = 1', ['1']],
    ['an update of the key, under both keys', 'UPDATE item SET id = 10 WHERE id = 1', ['1', '10']],
    ['a delete', 'DELETE FROM item WHERE id IN (1, 2)', ['1', '2']],
    [
      'an insert that ON CONFLICT turns into an update',
      'INSERT INTO item VALUES (3) ON CONFLICT (id) DO UPDATE SET n = 9',
      ['3'],
    ],
    ['no row that ON CONFLICT leaves alone', 'INSERT INTO item VALUES (3), (6) ON CONFLICT DO NOTHING', ['6']],
    [
      'a change made by WITH',
      'WITH d AS (DELETE FROM item WHERE id = 4 RETURNING id) INSERT INTO item SELECT id + 100 FROM d',
      ['104', '4'],
    ],
    ["a write of a function with its owner's rights", 'SELECT add_item(6)', ['6']],
  ])('%s', async (_, statement, keys) => {
    await source.query(statement);
    expect(await item()).toEqual(keys);
  });

  it('rows that COPY brings', async () => {
    await source.query(`COPY item (id) FROM PROGRAM 'seq 20 22'`);
    expect(await item()).toEqual(['20', '21', '22']);
  });

  it('a write by a role that has no right on schema bucardo', async () => {
    const { rows } = await source.query(`SELECT has_schema_privilege('clerk', 'bucardo', 'USAGE') AS usable`);
    expect(rows).toEqual([{ usable: false }]);
    await source.query(`SET ROLE clerk; UPDATE item SET id = 50 WHERE id = 5; RESET ROLE`);
    expect(await item()).toEqual(['5', '50']);
  });

  it('nothing of what was rolled back, alone or to a savepoint', async () => {
    await source.query('BEGIN; DELETE FROM item; ROLLBACK');
    await source.query(
      'BEGIN; INSERT INTO item VALUES (6); SAVEPOINT s; INSERT INTO item VALUES (7); ROLLBACK TO s; COMMIT',
    );
    expect(await item()).toEqual(['6']);
  });

  it('every column of a composite key, in the order of the index', async () => {
    const uuid = '00000000-0000-0000-0000-00000000000';
    await source.query(`INSERT INTO pair VALUES ('it''s', '${uuid}1', 0); UPDATE pair SET a = 'x'`);
    const { rows } = await source.query('SELECT b, a FROM bucardo.delta_public_pair ORDER BY captured_at');
    expect(rows).toEqual([
      { b: `${uuid}1`, a: "it's" },
      { b: `${uuid}1`, a: "it's" },
      { b: `${uuid}1`, a: 'x' },
    ]);
  });

  it('the rows that foreign keys take along', async () => {
    await source.query('INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (11, 1), (12, 1), (21, 2)');
    await takeKeys(source, 'delta_public_child');
    await source.query('UPDATE parent SET id = 3 WHERE id = 2; DELETE FROM parent WHERE id = 1');
    expect(await takeKeys(source, 'delta_public_child')).toEqual(['11', '12', '21']);
  });

  it('a row that moves to another partition, in both', async () => {
    await source.query('INSERT INTO measure VALUES (1), (2)');
    expect(await takeKeys(source, 'delta_public_measure_low')).toEqual(['1', '2']);
    await source.query('UPDATE measure SET at = at + 100 WHERE at = 1');
    expect(await takeKeys(source, 'delta_public_measure_low')).toEqual(['1']);
    expect(await takeKeys(source, 'delta_public_measure_high')).toEqual(['101']);
  });
});

describe('a TRUNCATE leaves a marker', () => {
  const truncated = async (): Promise<string[]> => {
    const { rows } = await source.query('DELETE FROM bucardo.ibex_truncated RETURNING relation_name AS name');
    return (rows as { name: string }[]).map((row) => row.name).sort();
  };

  it.each([
    ['for the table', 'TRUNCATE item', ['item']],
    ['for every table that CASCADE empties', 'TRUNCATE parent CASCADE', ['child', 'parent']],
    ['for every leaf of a partitioned table', 'TRUNCATE measure', ['measure_high', 'measure_low']],
    ['for one leaf', 'TRUNCATE measure_low', ['measure_low']],
  ])('%s', async (_, statement, names) => {
    await source.query(statement);
    expect(await truncated()).toEqual(names);
  });

  it('also by a role without any right on schema bucardo, and none when it is rolled back', async () => {
    await source.query('GRANT TRUNCATE ON item TO clerk; SET ROLE clerk; TRUNCATE item; RESET ROLE');
    expect(await truncated()).toEqual(['item']);
    await source.query('BEGIN; TRUNCATE item; ROLLBACK');
    expect(await truncated()).toEqual([]);
  });
});

describe('the stamp of a transaction', () => {
  /** Statements of one message begin at one instant, so both transactions have one now(). */
  const twoAtOnce =
    'BEGIN; UPDATE item SET n = 1 WHERE id = 1; COMMIT; BEGIN; UPDATE item SET n = 2 WHERE id = 2; COMMIT';
  const relation = async (): Promise<Relation> => {
    const relations = await readRelations(source, migration.config);
    return relations.find(({ name }) => name === 'item') as Relation;
  };

  /** Lets both transactions be written, and the first be applied before the second is seen; what is then still due? */
  async function leftAfterFirst(): Promise<number> {
    await item();
    await source.query(`${twoAtOnce}`);
    await source.query(
      `INSERT INTO bucardo.track_public_item SELECT txntime, $1 FROM bucardo.delta_public_item WHERE id = 1`,
      [DBGROUP],
    );
    return (await readLag(source, [await relation()])).changes;
  }

  beforeEach(async () => {
    await source.query(`
      DELETE FROM bucardo.track_public_item;
      INSERT INTO item VALUES (1), (2) ON CONFLICT DO NOTHING`);
  });

  it('is one for all rows of a transaction, savepoints included, and another for each transaction', async () => {
    await item();
    await source.query('BEGIN; INSERT INTO item VALUES (71), (72); SAVEPOINT s; INSERT INTO item VALUES (73); COMMIT');
    await source.query('INSERT INTO item VALUES (74)');
    const { rows } = await source.query(
      'SELECT array_agg(id ORDER BY id) AS ids FROM bucardo.delta_public_item GROUP BY txntime ORDER BY 1',
    );
    expect(rows).toEqual([{ ids: [71, 72, 73] }, { ids: [74] }]);
  });

  it('keeps apart two transactions of one now(): the second is still due when the first is applied', async () => {
    expect(await leftAfterFirst()).toBe(1);
  });

  it('is what does so: with the default of stock Bucardo the second is taken for applied', async () => {
    const queue = 'ALTER TABLE bucardo.delta_public_item ALTER txntime SET DEFAULT';
    const { rows } = await source.query(`SELECT pg_get_expr(adbin, adrelid) AS ours FROM pg_attrdef
      WHERE adrelid = 'bucardo.delta_public_item'::regclass AND pg_get_expr(adbin, adrelid) LIKE '%txid_current%'`);
    await source.query(`${queue} now()`);
    try {
      expect(await leftAfterFirst()).toBe(0);
    } finally {
      await source.query(`${queue} ${(rows[0] as { ours: string }).ours}`);
    }
  });

  it('goes with the time of the capture, by which the age of a change is told', async () => {
    await item();
    await source.query('INSERT INTO item VALUES (90)');
    const { rows } = await source.query(
      `SELECT clock_timestamp() - captured_at < interval '10 s' AND captured_at <= clock_timestamp() AS near FROM bucardo.delta_public_item`,
    );
    expect(rows).toEqual([{ near: true }]);
  });
});
