import { readRelations } from '../../../assets/agent/catalog/relations';
import { acceptAltered, watchCatalog } from '../../../assets/agent/sync/catalog-watch';
import { CopyTest } from '../../helpers/copy-test';

const FILL = `
  CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
  CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (10);
  CREATE TABLE rest PARTITION OF parted DEFAULT;
  CREATE TABLE loose (id int PRIMARY KEY, v int);
  INSERT INTO parted SELECT i, i FROM generate_series(0, 19) i;
  INSERT INTO loose SELECT i, i FROM generate_series(95, 104) i;
  ANALYZE;`;

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(async () => {
  await copy.prepare(FILL);
  await copy.run();
});

const accept = (): Promise<string[]> =>
  copy.within('add', async (context) => {
    const ends = { source: await context.connect('source'), target: await context.connect('target') };
    return acceptAltered(context, ends, await readRelations(ends.source, context.config), () => Promise.resolve());
  });

const watched = (): Promise<string[]> =>
  copy.within('sync', async (context) => watchCatalog(context, await context.connect('source')));

/** Every row, with the table that holds it. */
async function rowsOf(end: 'source' | 'target'): Promise<unknown[]> {
  const { rows } = await copy[end].query(
    ['leaf', 'rest', 'loose'].map((name) => `SELECT '${name}' AS held, * FROM ONLY ${name}`).join(' UNION ALL ') +
      ' ORDER BY 1, 2',
  );
  return rows;
}

it('that was detached is taken in once both ends are alike, and each row stays where the source has it', async () => {
  await copy.source.query(`
    ALTER TABLE parted DETACH PARTITION leaf;
    INSERT INTO parted VALUES (5, 55); INSERT INTO leaf VALUES (100, 100);
    UPDATE leaf SET v = v + 1 WHERE id < 3; DELETE FROM leaf WHERE id = 9`);
  expect(await watched()).toEqual([
    'table "public"."leaf" was attached to, or detached from, another table; undo it, or make the target alike and start add',
  ]);
  await expect(copy.catchUp()).rejects.toThrow(/violates partition constraint/);
  await expect(accept()).rejects.toThrow(
    /^table public.leaf differs: .* on the source, .* PARTITION OF public.parted .* on the target; make both alike, then start add again$/,
  );
  await copy.target.query('ALTER TABLE parted DETACH PARTITION leaf');
  await copy.catchUp();
  expect(await accept()).toEqual(['"public"."leaf"']);
  expect(await watched()).toEqual([]);
  expect(await rowsOf('target')).toEqual(await rowsOf('source'));
});

it('that was attached is taken in likewise, and rows that move into another one move on the target, too', async () => {
  const attach = 'ALTER TABLE parted ATTACH PARTITION loose FOR VALUES FROM (100) TO (200)';
  await copy.source.query(`DELETE FROM loose WHERE id < 100; ${attach}`);
  await expect(copy.target.query(attach)).rejects.toThrow(/partition constraint/);
  await copy.catchUp();
  await copy.target.query(attach);
  expect(await accept()).toEqual(['"public"."loose"']);
  await copy.source.query('UPDATE parted SET id = id + 400 WHERE id IN (3, 101, 102)');
  await copy.catchUp();
  expect(await watched()).toEqual([]);
  expect(await rowsOf('target')).toEqual(await rowsOf('source'));
});

it('is not what an heir of a plain table is, whose rows would be read twice', async () => {
  await copy.source.query('CREATE TABLE plain (id int, v int)');
  await copy.source.query('ALTER TABLE loose INHERIT plain');
  expect(await accept()).toEqual([]);
  expect(await watched()).toContain(
    'table "public"."loose" was attached to, or detached from, another table; undo it, or run cleanup and migrate again',
  );
});
