import type { Client } from 'pg';
import { buildIndexes } from '../../../assets/agent/archive/early-indexes';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { CopyTest } from '../../helpers/copy-test';

const TABLES = `
  CREATE TABLE large (id text PRIMARY KEY, note text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  CREATE INDEX large_note ON large (note);
  CREATE INDEX other_note ON other (note);
  INSERT INTO large SELECT md5(i::text), 'note' FROM generate_series(1, 5000) i;
  INSERT INTO other SELECT i, 'note' FROM generate_series(1, 1000) i;
  ANALYZE`;

let test: CopyTest;
beforeAll(async () => {
  test = await CopyTest.start();
});
afterAll(() => test.migration.stop());

/** A row whose key is there already, which the index of the key does not hold: it is corrupt. */
async function holdTwice(): Promise<void> {
  const ready = (is: boolean): Promise<unknown> =>
    test.source.query(`UPDATE pg_index SET indisready = ${is} WHERE indexrelid = 'other_pkey'::regclass`);
  await ready(false);
  await test.source.query(`INSERT INTO other VALUES (500, 'twin')`);
  await ready(true);
}

const indexes = async (): Promise<string[]> => {
  const { rows } = await test.target.query(`SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`);
  return (rows as { indexname: string }[]).map(({ indexname }) => indexname);
};

const BY_HAND = /other_pkey.*\(id\)=\(500\) is duplicated.*; the source holds such rows too.* on the target by hand/;

/** The way on that the failure names, on both ends. */
async function correct(): Promise<void> {
  await test.source.query(
    `SET enable_indexscan = off; SET enable_bitmapscan = off; DELETE FROM other WHERE note = 'twin'`,
  );
  await test.source.query('REINDEX TABLE other');
  await test.target.query(`SET session_replication_role = replica; DELETE FROM other WHERE note = 'twin'`);
}

describe('a key that the source holds twice', () => {
  it('is named by copy with a way on, which leads on', async () => {
    await test.prepare(TABLES);
    await holdTwice();
    await expect(test.run()).rejects.toThrow(BY_HAND);
    await correct();
    await test.run();
    await test.catchUp();
    expect(await test.count('other')).toBe(1000);
    expect(await indexes()).toContain('other_pkey');
  });

  it('keeps restore from building no other key or index, and is built once it is corrected', async () => {
    await test.prepare(TABLES);
    await holdTwice();
    await test.target.query(`
      SET session_replication_role = replica; INSERT INTO other SELECT i, 'note' FROM generate_series(1, 1000) i;
      INSERT INTO other VALUES (500, 'twin')`);
    const build = (): Promise<number> =>
      test.within('restore', async (context) => {
        const from: Client = await context.connect('source');
        return buildIndexes(
          context,
          from,
          [await context.connect('target')],
          await readRelations(from, context.config),
        );
      });
    await expect(build()).rejects.toThrow(BY_HAND);
    expect(await indexes()).toEqual(['large_note', 'large_pkey', 'other_note']);
    await correct();
    expect(await build()).toBe(1);
  });
});

it('a value that is too long for an index of the target is named with a way on', async () => {
  await test.prepare(TABLES);
  // More than a page's third, which no compression makes smaller, in a place that the source has no index for.
  await test.target.query(`
    SET session_replication_role = replica;
    INSERT INTO other SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 200) i`);
  const build = test.within('restore', async (context) => {
    const from = await context.connect('source');
    return buildIndexes(context, from, [await context.connect('target')], await readRelations(from, context.config));
  });
  await expect(build).rejects.toThrow(/other_note.*index row size .*; the source holds such rows too/);
});
