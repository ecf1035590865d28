import { capture } from '../../../assets/agent/capture';
import { checkCapture } from '../../../assets/agent/capture/check';
import { buildConstraints, missingConstraints } from '../../../assets/agent/constraints';
import { watchCatalog } from '../../../assets/agent/sync/catalog-watch';
import { CopyTest } from '../../helpers/copy-test';

const FILL = `
  CREATE TABLE kept (id int PRIMARY KEY, code text UNIQUE);
  CREATE TABLE dropped (id int PRIMARY KEY, kept int CONSTRAINT dropped_kept REFERENCES kept, code text UNIQUE);
  CREATE INDEX dropped_half ON dropped ((id / 2));
  COMMENT ON INDEX dropped_half IS 'half';
  COMMENT ON CONSTRAINT dropped_kept ON dropped IS 'kept';
  INSERT INTO kept SELECT i, 'code ' || i FROM generate_series(1, 100) i;
  INSERT INTO dropped SELECT i, i, 'code ' || i FROM generate_series(1, 100) i;
  ANALYZE;`;

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(async () => {
  await copy.prepare(FILL);
  await copy.within('copy', (context) => context.state.phaseStarted('copy'));
});

const recapture = () => copy.within('capture', (context) => capture.run(context));

/** What still keeps the migration from going on. */
const problems = () =>
  copy.within('sync', async (context) => {
    const source = await context.connect('source');
    return [...(await checkCapture(context, source)), ...(await watchCatalog(context, source))];
  });

const WAY_ON =
  /^"public"."dropped" was dropped or renamed on the source; drop it on the target too, or rename it there and empty it, then start capture again$/;

it.each(['before it is copied', 'after it is copied'])(
  'a table that is dropped on both ends %s is forgotten',
  async (when) => {
    if (when === 'after it is copied') await copy.run();
    await copy.source.query('DROP TABLE dropped');
    await expect(copy.run()).rejects.toThrow(
      /start capture, then copy again: "public"."dropped" was captured and is gone/,
    );
    await expect(recapture()).rejects.toThrow(WAY_ON);
    await copy.target.query('DROP TABLE dropped');
    await recapture();
    expect(await problems()).toEqual([]);
    expect((await copy.run()).message).toMatch(/^100 rows of 1 tables copied/);
    await copy.within('sync', async (context) => {
      const target = await context.connect('target');
      await buildConstraints(context, target);
      expect(await missingConstraints(context, target)).toBe(0);
    });
  },
);

it('is forgotten as well by a run after one that was killed anywhere', async () => {
  for (const client of [copy.source, copy.target]) await client.query('DROP TABLE dropped');
  for (const fact of [1, 2, 3]) {
    const killed = copy.within('capture', async (context) => {
      const setFact = context.state.setFact.bind(context.state);
      let facts = 0;
      context.state.setFact = (...args) => {
        facts += 1;
        if (facts === fact) throw new Error('killed');
        return setFact(...args);
      };
      await capture.run(context);
    });
    await expect(killed).rejects.toThrow('killed');
  }
  await recapture();
  expect(await problems()).toEqual([]);
});

it.each([
  ['the same key', 'id int PRIMARY KEY, other int', `(1, 1), (2, 2)`, '(3, 3)'],
  ['a key of another type', 'id text PRIMARY KEY, other int', `('a', 1), ('b', 2)`, `('c', 3)`],
  ['another key', 'other int PRIMARY KEY', '(1), (2)', '(3)'],
])(
  'is copied like any other when one of that name is made later with %s, which can be written meanwhile',
  async (_, columns, first, later) => {
    await copy.run();
    for (const client of [copy.source, copy.target]) await client.query('DROP TABLE dropped');
    await recapture();
    await copy.source.query(`CREATE TABLE dropped (${columns}); INSERT INTO dropped VALUES ${first}`);
    await copy.target.query(`SET ROLE master; CREATE TABLE dropped (${columns}); RESET ROLE`);
    await recapture();
    await copy.source.query(`INSERT INTO dropped VALUES ${later}`);
    await copy.run();
    expect(await copy.count('dropped')).toBe(3);
  },
);

it('is copied anew when it was renamed, once it is renamed and emptied on the target', async () => {
  await copy.run();
  await copy.source.query(`INSERT INTO dropped VALUES (101, 1, 'new'); ALTER TABLE dropped RENAME TO renamed`);
  await expect(recapture()).rejects.toThrow(WAY_ON);
  await copy.target.query('ALTER TABLE dropped RENAME TO renamed');
  await recapture();
  await expect(copy.run()).rejects.toThrow('"public"."renamed" on the target holds rows that Ibex did not copy');
  await copy.target.query('SET session_replication_role = replica; TRUNCATE renamed');
  await copy.run();
  expect(await copy.count('renamed')).toBe(101);
});

it('a table that stands on the source is never forgotten, whatever became of its capture', async () => {
  await copy.source.query('DROP TRIGGER bucardo_delta ON dropped');
  await copy.target.query('DROP TABLE dropped');
  await expect(recapture()).rejects.toThrow(/"public"."dropped" has no trigger .*run cleanup and migrate again$/);
  await copy.source.query('DROP TABLE dropped; CREATE TABLE dropped (id int PRIMARY KEY)');
  await expect(recapture()).rejects.toThrow(/"public"."dropped" has no trigger .*run cleanup and migrate again$/);
});
