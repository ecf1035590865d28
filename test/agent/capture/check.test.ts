import type { Client } from 'pg';
import { checkCapture } from '../../../assets/agent/capture/check';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { forgetCapture, runCapture } from './recorded';

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
});
afterAll(() => migration.stop());
beforeEach(async () => {
  await forgetCapture(migration, source);
  await source.query(`
    DROP TABLE IF EXISTS item, other, thing, late;
    CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)`);
  await runCapture(migration);
});

async function check(): Promise<string[]> {
  const context = await migration.context('verify');
  try {
    return await checkCapture(context, await context.connect('source'));
  } finally {
    await context.close();
  }
}

const dumped = async (): Promise<void> => {
  const context = await migration.context('dump');
  await context.state.phaseStarted('dump');
  await context.close();
};

const remake = `
  DROP TRIGGER bucardo_delta ON item;
  CREATE TRIGGER bucardo_delta AFTER INSERT OR UPDATE OR DELETE ON item
  FOR EACH ROW EXECUTE PROCEDURE bucardo.delta_public_item()`;

const BREAKS: [string, string, string][] = [
  ['a dropped trigger', 'DROP TRIGGER bucardo_delta ON item', '"public"."item" has no trigger "bucardo_delta"'],
  [
    'a disabled trigger',
    'ALTER TABLE item DISABLE TRIGGER bucardo_delta',
    'trigger "bucardo_delta" of "public"."item" is disabled',
  ],
  [
    'a trigger that only replicas fire',
    'ALTER TABLE item ENABLE REPLICA TRIGGER bucardo_delta',
    'trigger "bucardo_delta" of "public"."item" is disabled',
  ],
  [
    'a trigger that was remade',
    remake,
    'trigger "bucardo_delta" of "public"."item" was dropped and made anew: changes in between are not known',
  ],
  [
    'a trigger that calls something else',
    `DROP TRIGGER bucardo_delta ON item; CREATE TRIGGER bucardo_delta AFTER INSERT ON item
     FOR EACH STATEMENT EXECUTE PROCEDURE bucardo.ibex_note_truncation()`,
    'trigger "bucardo_delta" of "public"."item" does not call our function',
  ],
  [
    'a trigger that waits for a part of the writes only',
    `DROP TRIGGER bucardo_delta ON item; CREATE TRIGGER bucardo_delta AFTER INSERT ON item
     FOR EACH ROW EXECUTE PROCEDURE bucardo.delta_public_item()`,
    'trigger "bucardo_delta" of "public"."item" was dropped and made anew: changes in between are not known',
  ],
  [
    'a dropped TRUNCATE trigger',
    'DROP TRIGGER bucardo_note_trunc_ibex ON item',
    'trigger "bucardo_note_trunc_ibex" of "public"."item" is missing or disabled',
  ],
  [
    'all triggers disabled',
    'ALTER TABLE item DISABLE TRIGGER ALL',
    'trigger "bucardo_delta" of "public"."item" is disabled',
  ],
  ['a dropped table', 'DROP TABLE item', '"public"."item" was captured and is gone now'],
  ['a renamed table', 'ALTER TABLE item RENAME TO thing', '"public"."item" was captured and is gone now'],
  ['a new table', 'CREATE TABLE late (id int PRIMARY KEY)', '"public"."late" has no trigger "bucardo_delta"'],
];

describe('the check of capture', () => {
  it('finds nothing where every change is recorded', async () => {
    expect(await check()).toEqual([]);
  });

  it.each(BREAKS)('names %s', async (_, statement, problem) => {
    await source.query(statement);
    expect(await check()).toContain(problem);
  });

  it('leaves its question and its answer as evidence', async () => {
    await source.query('DROP TRIGGER bucardo_delta ON item');
    await check();
    const context = await migration.context('verify');
    const evidence = await context.state.allEvidence();
    expect(evidence.at(-1)).toMatchObject({
      phase: 'verify',
      gate: 'capture in place',
      passed: false,
      result: { relations: 2, problems: ['"public"."item" has no trigger "bucardo_delta"'] },
    });
  });
});

describe('capture, run again over what was broken', () => {
  it.each(BREAKS.filter(([what]) => what.includes('trigger')))(
    'mends %s before rows are copied',
    async (_, statement) => {
      await source.query(statement);
      await runCapture(migration);
      expect(await check()).toEqual([]);
      await source.query('INSERT INTO item VALUES (1); TRUNCATE item');
      const { rows } = await source.query('SELECT count(*)::int AS n FROM bucardo.delta_public_item');
      expect(rows).toEqual([{ n: 1 }]);
    },
  );

  it.each(BREAKS.filter(([what]) => what !== 'a new table'))(
    'refuses %s once rows are copied, since changes may be missing',
    async (_, statement, problem) => {
      await dumped();
      await source.query(statement);
      await expect(runCapture(migration)).rejects.toThrow(
        `changes may have been missed since the copy began: ${problem}`,
      );
      expect(await check()).toContain(problem);
    },
  );
});
