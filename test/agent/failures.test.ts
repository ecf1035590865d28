import type { Client } from 'pg';
import { readRelations } from '../../assets/agent/catalog/relations';
import { CatchUp } from '../../assets/agent/catch-up/rounds';
import { dumpRows } from '../../assets/agent/dump';
import { Lease } from '../../assets/agent/lease';
import { restoreRows } from '../../assets/agent/restore';
import { CopyTest } from '../helpers/copy-test';

const TABLES = `
  CREATE TABLE large (id int PRIMARY KEY, note text);
  CREATE TABLE one (id int PRIMARY KEY);
  CREATE TABLE two (id int PRIMARY KEY);
  INSERT INTO large SELECT i, repeat('n', 100) FROM generate_series(1, 1000) i;
  INSERT INTO one VALUES (1);
  INSERT INTO two VALUES (1);
  ANALYZE`;

let test: CopyTest;
beforeAll(async () => {
  test = await CopyTest.start();
});
afterAll(() => test.migration.stop());

/** Has the target refuse each row of one table with that code. */
const refuse = (code: string): Promise<unknown> =>
  test.target.query(`
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
      AS $$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '${code}'; END$$;
    CREATE TRIGGER refuse BEFORE INSERT ON large FOR EACH ROW EXECUTE FUNCTION public.refuse();
    ALTER TABLE large ENABLE ALWAYS TRIGGER refuse`);

const jobs = () => ({ restore: { ...test.migration.config.restore, jobs: 1 } });

async function restored(code: string): Promise<{ readonly message: string; readonly others: number }> {
  await test.prepare(TABLES);
  await test.within('dump', (context) => dumpRows(context));
  await refuse(code);
  const message = await test.within('restore', restoreRows, jobs()).then(
    ({ message: done }) => done,
    (error: Error) => error.message,
  );
  return { message, others: (await test.count('one')) + (await test.count('two')) };
}

describe.each([
  ['memory', '53200', 'a server has no memory for a row of this table: give it a larger class'],
  ['temporary files', '53400', 'a server gives no statement so many temporary files: raise its temp_file_limit'],
])('a table for which a server lacks %s', (_, code, cure) => {
  it('is named by restore, which brings the others', async () => {
    const { message, others } = await restored(code);
    expect(message).toMatch(/^rows of "public"."large" cannot be copied: no room/);
    expect(message).toContain(cure);
    expect(others).toBe(2);
  });

  it('is named by catch-up, which brings the others', async () => {
    await test.prepare(TABLES);
    await test.run();
    await test.source.query(`
      INSERT INTO large VALUES (0, 'n'); INSERT INTO one VALUES (2); INSERT INTO two VALUES (2)`);
    await refuse(code);
    const applying = test.within(
      'sync',
      async (context) => {
        const source: Client = await context.connect('source');
        const all = await readRelations(source, context.config);
        const largestFirst = all.sort((a, b) => b.bytes - a.bytes);
        const catchUp = new CatchUp(
          context,
          largestFirst,
          await Lease.take(await context.connect('target'), 'catch-up'),
        );
        await catchUp.apply(largestFirst).finally(() => catchUp.close());
      },
      jobs(),
    );
    await expect(applying).rejects.toThrow(/^"public"."large" cannot be applied: no room/);
    await expect(applying).rejects.toThrow(cure);
    expect((await test.count('one')) + (await test.count('two'))).toBe(4);
  });
});

it('a server whose volume is full ends restore at once, since no other table would find room', async () => {
  const { message, others } = await restored('53100');
  expect(message).toMatch(/^rows of "public"."large" cannot be copied: no room/);
  expect(others).toBe(0);
});
