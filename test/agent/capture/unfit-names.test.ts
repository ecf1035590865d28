import { add } from '../../../assets/agent/add';
import { capture } from '../../../assets/agent/capture';
import { CopyTest } from '../../helpers/copy-test';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy?.migration.stop());

/** What the phases might have made on either end. */
const MADE: readonly (readonly ['source' | 'target', string])[] = [
  ['source', `SELECT relname AS name FROM pg_class WHERE relnamespace = 'bucardo'::regnamespace ORDER BY 1`],
  ['target', `SELECT relname AS name FROM pg_class WHERE relname IN ('bar', 'a"b') ORDER BY 1`],
];

describe('of a table or column that is made once another is captured and copied', () => {
  beforeEach(async () => {
    await copy.prepare(`
      CREATE SCHEMA app; CREATE SCHEMA app_foo; CREATE TABLE app.foo_bar (id int PRIMARY KEY); INSERT INTO app.foo_bar VALUES (1)`);
    await copy.within('copy', (context) => context.state.phaseStarted('copy'));
    await copy.run();
  });

  it.each([
    [
      'its queue would be that of the other, whose changes would be forgotten with its own',
      'CREATE TABLE app_foo.bar (id int PRIMARY KEY)',
      /^tables "app(_foo)?"\."(foo_)?bar" and "app(_foo)?"\."(foo_)?bar" would both be captured as bucardo\.delta_app_foo_bar; rename one$/,
    ],
    [
      'the name has a double quote, which Bucardo cannot handle',
      'CREATE TABLE app."a""b" (id int PRIMARY KEY)',
      /^table "app"\."a""b" has a double quote in its name, which Bucardo cannot handle; rename it$/,
    ],
    [
      "the column's name has one",
      'ALTER TABLE app.foo_bar ADD "a""b" int',
      /^column 'a"b' of "app"\."foo_bar" has a double quote in its name, which Bucardo cannot handle; rename it$/,
    ],
  ])('capture and add refuse by name before they make anything: %s', async (_, statement, refusal) => {
    await copy.source.query(statement);
    const made = async (): Promise<unknown[]> =>
      Promise.all(MADE.map(async ([end, query]) => (await copy[end].query(query)).rows as unknown[]));
    const before = await made();
    for (const phase of [capture, add]) {
      await expect(copy.within(phase.name, (context) => phase.run(context))).rejects.toThrow(refusal);
    }
    expect(await made()).toEqual(before);
  });
});
