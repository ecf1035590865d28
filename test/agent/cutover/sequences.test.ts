import type { Client } from 'pg';
import { forwarded, forwardSequences, readSequences, setSequences } from '../../../assets/agent/cutover/sequences';
import { verifySequences } from '../../../assets/agent/verify/compare-sequences';
import { startMigration, type TestMigration } from '../../helpers/migration';

const MARGIN = 100;
const MAX = '9223372036854775807';

describe('a sequence goes on', () => {
  const sequence = {
    schema: 's',
    name: 'q',
    last: '5',
    increment: '1',
    min: '1',
    max: MAX,
    cycle: false,
    called: true,
  };

  it.each([
    ['a margin ahead', {}, 105n],
    ['a margin of steps ahead', { increment: '10' }, 1005n],
    ['downwards when it descends', { last: '-5', increment: '-1', min: `-${MAX}`, max: '-1' }, -105n],
    ['where it is when the margin would leave nothing of it', { max: '105' }, 5n],
    [
      'where it is when it descends and the margin would leave nothing',
      { last: '-5', increment: '-1', min: '-105', max: '-1' },
      -5n,
    ],
    ['ahead as long as one value is left', { max: '106' }, 105n],
    ['where it is when it has no value left', { last: '50', max: '50' }, 50n],
    ['beyond what a double holds', { last: '9007199254740993' }, 9007199254741093n],
    ['at the greatest of all', { last: MAX }, 9223372036854775807n],
    ['where it is when it cycles, since any value may be in use', { cycle: true }, 5n],
    ['at its start when it was never called', { called: false }, 5n],
  ])('%s', (_, difference, value) => {
    expect(forwarded({ ...sequence, ...difference }, MARGIN)).toBe(value);
  });
});

const SEQUENCES = `
  CREATE SCHEMA "My App"; CREATE SCHEMA left_out;
  CREATE SEQUENCE public.up; CREATE SEQUENCE "My App"."Down it's" INCREMENT -2 MINVALUE -1000 START -1;
  CREATE SEQUENCE public.small AS smallint; CREATE SEQUENCE public.never START 7; CREATE SEQUENCE public.restarted;
  CREATE SEQUENCE public.round MAXVALUE 5 CYCLE; CREATE SEQUENCE left_out.other;
  CREATE TABLE public.item (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY)`;

let migration: TestMigration;
let source: Client;
let target: Client;
beforeAll(async () => {
  migration = await startMigration();
  const context = await migration.context('cutover', { excludeSchemas: ['left_out'] });
  source = await context.connect('source');
  target = await context.connect('target');
  for (const client of [source, target]) await client.query(SEQUENCES);
  await source.query(`
    SELECT setval('public.up', 41); SELECT nextval('"My App"."Down it''s"'); SELECT setval('public.small', 32700);
    SELECT setval('public.round', 5); SELECT setval('left_out.other', 9);
    SELECT nextval('public.restarted'); ALTER SEQUENCE public.restarted RESTART WITH 1000;
    INSERT INTO public.item DEFAULT VALUES; INSERT INTO public.item DEFAULT VALUES`);
});
afterAll(() => migration.stop());

const forward = (): Promise<number> =>
  forwardSequences(source, target, {
    ...migration.config,
    excludeSchemas: ['left_out'],
    cutover: { ...migration.config.cutover, sequenceMargin: MARGIN },
  });

const next = async (name: string): Promise<string> => {
  const { rows } = await target.query('SELECT nextval($1)::text AS value', [name]);
  return (rows[0] as { value: string }).value;
};

describe('the sequences of the target, set by its master user, who is no superuser', () => {
  it('go on ahead of those of the source, under any name, and those of serial and identity columns', async () => {
    expect(await forward()).toBe(8);
    expect(await next('public.up')).toBe('142');
    expect(await next(`"My App"."Down it's"`)).toBe('-203');
    expect(await next('public.item_id_seq')).toBe('103');
    const { rows } = await target.query('INSERT INTO public.item DEFAULT VALUES RETURNING n');
    expect(rows).toEqual([{ n: 103 }]);
  });

  it('keep to their bounds: one that is near its end uses what is left, one that cycles goes round', async () => {
    await forward();
    expect(await next('public.small')).toBe('32701');
    expect(await next('public.round')).toBe('1');
  });

  it('start where that of the source would, when that was not called since, and stay alone in a schema that is left out', async () => {
    expect(await next('public.never')).toBe('7');
    expect(await next('public.restarted')).toBe('1000');
    expect(await next('left_out.other')).toBe('1');
    const names = (await readSequences(source, { ...migration.config, excludeSchemas: ['left_out'] })).map(
      (s) => s.name,
    );
    expect(names).not.toContain('other');
  });

  it('are those of the application: what an extension brings is not ours to read, to set or to miss', async () => {
    const admins = await Promise.all((['source', 'target'] as const).map((end) => migration.admin(end)));
    for (const admin of admins) {
      await admin.query(`CREATE EXTENSION citext; CREATE SEQUENCE public.of_extension;
        ALTER EXTENSION citext ADD SEQUENCE public.of_extension`);
    }
    await admins[0]?.query('CREATE SEQUENCE public.of_other; ALTER EXTENSION citext ADD SEQUENCE public.of_other');
    const config = { ...migration.config, excludeSchemas: ['left_out'] };
    try {
      await expect(target.query('SELECT last_value FROM public.of_extension')).rejects.toThrow('permission denied');
      expect((await readSequences(source, config)).map(({ name }) => name)).not.toContain('of_extension');
      expect(await verifySequences(source, target, config)).toEqual([]);
    } finally {
      for (const admin of admins) await admin.query('DROP EXTENSION citext');
    }
  });

  it('are told one by one, with where each end stands', async () => {
    const config = { ...migration.config, excludeSchemas: ['left_out'] };
    await source.query(`SELECT setval('public.up', 500)`);
    const set = await setSequences(source, target, config);
    expect(set).toContainEqual({ name: '"public"."up"', source: '500', target: '600', called: true });
    expect(set).toContainEqual({ name: '"public"."never"', source: '7', target: '7', called: false });
  });

  it('are set again to the same when a cutover is run again before writes are open', async () => {
    await source.query(`SELECT setval('public.up', 1000)`);
    await forward();
    await forward();
    expect(await next('public.up')).toBe('1101');
  });
});
