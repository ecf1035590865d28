import type { Client } from 'pg';
import { capture } from '../../../assets/agent/capture';
import { CAPTURED_FACT, checkCapture, type Captured } from '../../../assets/agent/capture/check';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { cleanup } from '../../../assets/agent/cleanup';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { prepareLeases } from '../../../assets/agent/lease';
import { copySchema } from '../../../assets/agent/schema';
import { sync } from '../../../assets/agent/sync';
import { watchCapture } from '../../../assets/agent/sync/capture-watch';
import { standingProblems } from '../../../assets/agent/sync/facts';
import { readIdentity } from '../../../assets/agent/sync/identity';
import { syncedRelations } from '../../../assets/agent/sync/synced';
import { COPY_PROBES } from '../../helpers/copy-test';
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
    'a trigger that fires always',
    'ALTER TABLE item ENABLE ALWAYS TRIGGER bucardo_delta',
    'trigger "bucardo_delta" of "public"."item" was switched off, on or otherwise altered since it was captured: changes in between are not known',
  ],
  [
    'a trigger that was remade',
    remake,
    'trigger "bucardo_delta" of "public"."item" was dropped and made anew: changes in between are not known',
  ],
  [
    'a trigger that calls something else',
    `DROP TRIGGER bucardo_delta ON item; CREATE TRIGGER bucardo_delta AFTER INSERT ON item
     FOR EACH STATEMENT EXECUTE PROCEDURE bucardo.trunc_public_item()`,
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
  [
    'all triggers switched off and on again between two looks, as a restore does that disables triggers',
    'ALTER TABLE item DISABLE TRIGGER ALL; INSERT INTO item VALUES (9); ALTER TABLE item ENABLE TRIGGER ALL',
    'trigger "bucardo_delta" of "public"."item" was switched off, on or otherwise altered since it was captured: changes in between are not known',
  ],
  [
    'a TRUNCATE trigger that was switched off and on again',
    'ALTER TABLE item DISABLE TRIGGER bucardo_note_trunc_ibex; TRUNCATE item; ALTER TABLE item ENABLE TRIGGER bucardo_note_trunc_ibex',
    'trigger "bucardo_note_trunc_ibex" of "public"."item" was switched off, on or otherwise altered since it was captured: changes in between are not known',
  ],
  [
    'a TRUNCATE trigger that was made anew',
    `DROP TRIGGER bucardo_note_trunc_ibex ON item;
     CREATE TRIGGER bucardo_note_trunc_ibex AFTER TRUNCATE ON item
     FOR EACH STATEMENT EXECUTE PROCEDURE bucardo.trunc_public_item()`,
    'trigger "bucardo_note_trunc_ibex" of "public"."item" was dropped and made anew: changes in between are not known',
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

  it('takes neither vacuum against wraparound nor more triggers of ours for a gap', async () => {
    for (const how of ['FREEZE', 'FULL']) await source.query(`VACUUM ${how} pg_trigger`);
    const { config } = migration;
    await runCapture(migration, { sync: { ...config.sync, syncs: 3 } });
    expect((await source.query(`SELECT FROM pg_trigger WHERE tgname LIKE 'bucardo_note_trunc_ibex_'`)).rowCount).toBe(
      4,
    );
    expect(await check()).toEqual([]);
  });

  it('knows from an older Ibex the oid of the delta trigger alone', async () => {
    const { rows } = await source.query(
      `SELECT oid FROM pg_trigger WHERE tgname = 'bucardo_delta' AND tgrelid = 'item'::regclass`,
    );
    const context = await migration.context('verify');
    const captured = await context.state.fact<Captured>(CAPTURED_FACT);
    await context.state.setFact(CAPTURED_FACT, {
      ...captured,
      '"public"."item"': String((rows[0] as { oid: number }).oid),
    });
    expect(await check()).toEqual([]);
    await source.query(remake);
    expect(await check()).toHaveLength(1);
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

  it.each(BREAKS.filter(([what]) => what.includes('trigger')))(
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

describe('a sync that is started', () => {
  /** What is copied is what is synced. */
  async function copied(...names: string[]): Promise<Context> {
    const context = await migration.context('sync');
    const [ends, target] = [await context.connect('source'), await context.connect('target')];
    await prepareLeases(target, await readRelations(ends, context.config));
    await target.query('UPDATE ibex.relation SET copied_at = CASE WHEN relation_name = ANY ($1) THEN now() END', [
      names,
    ]);
    return context;
  }

  it('refuses a table whose triggers were off for a while, again and again', async () => {
    const context = await copied('item', 'other');
    await source.query('ALTER TABLE item DISABLE TRIGGER ALL; ALTER TABLE item ENABLE TRIGGER ALL');
    for (let start = 1; start <= 2; start += 1) {
      await expect(sync.run(context)).rejects.toThrow(
        /^changes may have been missed: trigger "bucardo_delta" of "public"."item" was switched off, on or .*; run cleanup and migrate again$/,
      );
    }
  });

  it('does not miss a table that is captured and not copied yet, nor one that is neither, as add has them', async () => {
    const context = await copied('item');
    const ends = { source: await context.connect('source'), target: await context.connect('target') };
    await source.query('CREATE TABLE late (id int PRIMARY KEY)');
    expect((await syncedRelations(context, ends)).map(({ name }) => name)).toEqual(['item']);
    await watchCapture({ context, ends });
    expect(await standingProblems(context.state)).toEqual([]);

    await source.query('DROP TRIGGER bucardo_delta ON other');
    await watchCapture({ context, ends });
    expect(await standingProblems(context.state)).toEqual(['"public"."other" has no trigger "bucardo_delta"']);
    await expect(sync.run(context)).rejects.toThrow('"public"."other" has no trigger "bucardo_delta"');
    expect(await standingProblems(context.state)).toHaveLength(1);
  });

  it('first looks whether an end was put back to an earlier time: what it had may be in no queue any more', async () => {
    const context = await copied('item', 'other');
    const lost = { ...(await readIdentity(source)), txid: '9000000000' };
    for (const end of ['source', 'target']) await context.state.setFact(`${end}.seen`, lost);
    const handlers = [{ file: '/missing', when: 'exception' as const }];
    const config = { ...context.config, sync: { ...context.config.sync, handlers } };
    const refused = Object.create(context, { config: { value: config } }) as Context;
    await expect(sync.run(refused)).rejects.toThrow('/missing cannot be read');
    expect(await standingProblems(context.state)).toEqual([
      expect.stringMatching(/^the source may have lost what the target has: /),
      expect.stringMatching(/^the target may have lost what it was given: /),
    ]);
    for (const name of ['source.seen', 'target.seen', 'sync.identity']) await context.state.setFact(name, null);
  });

  it('is looked at in one reading of the tables, of which none is missed that is captured meanwhile', async () => {
    const context = await copied('item', 'other');
    const ends = { source: await context.connect('source'), target: await context.connect('target') };
    const query = ends.source.query.bind(ends.source) as (...args: unknown[]) => Promise<unknown>;
    let readings = 0;
    ends.source.query = (async (...args: unknown[]) => {
      const found = await query(...args);
      if (!String(args[0]).includes('pg_table_size')) return found;
      readings += 1;
      // As `add` does, in another process, after the tables were read.
      await source.query('CREATE TABLE late (id int PRIMARY KEY)');
      const captured = await context.state.fact<Captured>(CAPTURED_FACT);
      await context.state.setFact(CAPTURED_FACT, { ...captured, '"public"."late"': '1:1 1:1' });
      await ends.target.query(
        `INSERT INTO ibex.relation (schema_name, relation_name, copied_at) VALUES ('public', 'late', now())
         ON CONFLICT (schema_name, relation_name) DO UPDATE SET copied_at = now()`,
      );
      return found;
    }) as typeof ends.source.query;
    await watchCapture({ context, ends });
    expect(readings).toBe(1);
    expect(await standingProblems(context.state)).toEqual([]);
  });

  it('tells of a key that has changed at the next look at capture, when its queue is mended', async () => {
    const context = await copied('item', 'other');
    const ends = { source: await context.connect('source'), target: await context.connect('target') };
    await source.query('ALTER TABLE item ALTER id TYPE bigint');
    await watchCapture({ context, ends });
    expect(await standingProblems(context.state)).toEqual([
      'table "public"."item" has other columns or types than when it was captured; undo it, or make the target alike and start add',
    ]);
    await source.query('INSERT INTO item VALUES (3000000000)');
  });

  it('is told that the target was emptied or replaced, and a cleanup then makes way for a new migration', async () => {
    const context = await copied('item', 'other');
    const ends = { source: await context.connect('source'), target: await context.connect('target') };
    await ends.target.query('DROP SCHEMA ibex CASCADE');
    await expect(sync.run(context)).rejects.toThrow(
      /^the target is not the one that this migration was begun on, or was emptied since: .*; run cleanup and migrate again$/,
    );
    expect((await cleanup.run(context)).message).toMatch(/are gone from both ends$/);
    await copySchema(context);
    await capture.run(context);
    await copyAll(context, COPY_PROBES);
    expect((await syncedRelations(context, ends)).map(({ name }) => name)).toEqual(['item', 'other']);
  });
});
