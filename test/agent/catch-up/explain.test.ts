import { capture } from '../../../assets/agent/capture';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import { applyFew } from '../../../assets/agent/catch-up/apply-few';
import type { Context } from '../../../assets/agent/context';
import { Lease } from '../../../assets/agent/lease';
import { copySchema } from '../../../assets/agent/schema';
import { CopyTest } from '../../helpers/copy-test';
import { latin1Target, NOT_LATIN1 } from '../../helpers/latin1';

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());

it('names the text that the encoding of the target does not know, and what to do about it', async () => {
  await copy.source.query('CREATE TABLE item (id int PRIMARY KEY, note text)');
  const latin1 = await latin1Target(copy.migration);
  const run = <T>(phase: string, work: (context: Context) => Promise<T>) => copy.within(phase, work, latin1);
  await run('schema', copySchema);
  await run('capture', (context) => capture.run(context));
  await copy.source.query(`INSERT INTO item VALUES (1, 'known'), (2, '${NOT_LATIN1}')`);
  const cure =
    /^"public"."item" cannot be applied: character with byte sequence .* has no equivalent in encoding "LATIN1" \(COPY item, line 2.*\); the source holds text that the target's encoding does not know; correct that value there; nothing was forgotten; start again$/;
  await run('sync', async (context) => {
    const [source, target] = [await context.connect('source'), await context.connect('target')];
    const lease = await Lease.take(target, 'catch-up');
    const [item] = await readRelations(source, context.config);
    if (!item) throw new Error('no table');
    await expect(applyChanges({ source, target }, lease, item)).rejects.toThrow(cure);
  });
  await run('sync', async (context) => {
    const [source, target] = [await context.connect('source'), await context.connect('target')];
    const lease = await Lease.take(target, 'catch-up');
    const relations = await readRelations(source, context.config);
    await expect(applyFew({ source, target }, lease, relations)).rejects.toThrow(cure);
  });
});

/** Brings what changed of the one table. */
const apply = (): Promise<unknown> =>
  copy.within('sync', async (context) => {
    const [source, target] = [await context.connect('source'), await context.connect('target')];
    const [item] = await readRelations(source, context.config);
    if (!item) throw new Error('no table');
    return applyChanges({ source, target }, await Lease.take(target, 'catch-up'), item);
  });

it('names the function of a constraint that finds nothing without a search path, and what to do about it', async () => {
  await copy.prepare(`CREATE TABLE item (id int PRIMARY KEY);
    CREATE FUNCTION known() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) >= 0 FROM item); END';
    ALTER TABLE item ADD CHECK (known())`);
  await copy.source.query('INSERT INTO item VALUES (1)');
  await expect(apply()).rejects.toThrow(
    /^"public"."item" cannot be applied: relation "item" does not exist; function public.known\(\) is called for each row, .*; nothing was forgotten; start again$/,
  );
  await copy.target.query('ALTER FUNCTION known() SET search_path = public');
  await apply();
  expect(await copy.count('item')).toBe(1);
});

it('names the value that was there before a constraint of its domain, and what to do about it', async () => {
  await copy.prepare(`CREATE DOMAIN code AS text; CREATE TABLE item (id int PRIMARY KEY, c code, v int);
    INSERT INTO item VALUES (1, 'too long'); ALTER DOMAIN code ADD CONSTRAINT short CHECK (length(VALUE) < 5) NOT VALID`);
  await copy.source.query('UPDATE item SET v = 1');
  await copy.target.query('ALTER DOMAIN code ADD CONSTRAINT short CHECK (length(VALUE) < 5) NOT VALID');
  await expect(apply()).rejects.toThrow(
    /^"public"."item" cannot be applied: value for domain public.code violates check constraint "short" \(COPY item, line 1, column c.*\); the row came to be without that constraint, .*; nothing was forgotten; start again$/,
  );
  await copy.source.query(`UPDATE item SET c = 'good'`);
  await apply();
  expect(await copy.count('item')).toBe(1);
});
