import type { Client } from 'pg';
import type { Context } from '../../../assets/agent/context';
import { fingerprint, sameTables } from '../../../assets/agent/cutover/same-tables';
import { readTables } from '../../../assets/agent/sync/catalog-watch';
import { startMigration, type TestMigration } from '../../helpers/migration';

let migration: TestMigration;
let context: Context;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  context = await migration.context('cutover');
  source = await context.connect('source');
  await source.query('CREATE TABLE public.item (id int PRIMARY KEY); CREATE TABLE public.other (id int PRIMARY KEY)');
});
afterAll(() => migration.stop());

const evidence = async () => (await context.state.allEvidence()).map(({ passed, result }) => ({ passed, result }));

describe('the catalog behind the fence', () => {
  it('is the same after a VACUUM FULL, and is kept with its fingerprint of before the pause', async () => {
    const before = await readTables(context, source);
    await source.query('VACUUM FULL ANALYZE public.item');
    await sameTables(context, source, before, false);
    expect(await evidence()).toEqual([]);
    await sameTables(context, source, before, true);
    const own = fingerprint(before);
    expect(await evidence()).toEqual([{ passed: true, result: { tables: 2, before: own, now: own, changes: [] } }]);
  });

  it('is the same when the index of a key was built anew beside its work, as servers from 12 on can', async () => {
    const newer = await migration.admin('target');
    await newer.query('CREATE TABLE public.item (id int PRIMARY KEY)');
    const before = await readTables(context, newer);
    await newer.query('REINDEX INDEX CONCURRENTLY public.item_pkey');
    await sameTables(context, newer, before, false);
    expect(fingerprint(await readTables(context, newer))).toBe(fingerprint(before));
  });

  it('is refused, with the table by name, when one was altered, and has another fingerprint', async () => {
    const before = await readTables(context, source);
    await source.query('ALTER TABLE public.item ADD COLUMN note text');
    await expect(sameTables(context, source, before, false)).rejects.toThrow(
      /^tables were altered on the source after this cutover began: table "public"."item" has other columns .*; then start cutover again$/,
    );
    const { passed, result } = (await evidence()).at(-1)!;
    expect(passed).toBe(false);
    expect(result).toMatchObject({
      before: fingerprint(before),
      changes: [expect.stringContaining('"public"."item"')],
    });
    expect((result as { now: string }).now).not.toBe(fingerprint(before));
  });
});
