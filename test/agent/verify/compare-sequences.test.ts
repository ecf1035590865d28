import { readSequences } from '../../../assets/agent/cutover/sequences';
import { sequencesBehind, verifySequences } from '../../../assets/agent/verify/compare-sequences';
import { config, startEnds, type Ends } from './ends';

let ends: Ends;
beforeAll(async () => {
  ends = await startEnds();
  await ends.run(
    'both',
    `CREATE SEQUENCE public.up; CREATE SEQUENCE public.down INCREMENT -1; CREATE SEQUENCE public.unused;
     CREATE SEQUENCE public.turning MAXVALUE 5 CYCLE`,
  );
  await ends.run('both', `SELECT setval('public.up', 100), setval('public.down', -100), setval('public.turning', 4)`);
});
afterAll(() => ends.stop());

const behind = async (): Promise<string[]> =>
  sequencesBehind(await readSequences(ends.source, config()), await readSequences(ends.target, config()));

it('equal sequences are not behind, nor is one that is ahead or goes in circles', async () => {
  expect(await behind()).toEqual([]);
  await ends.run('target', `SELECT setval('public.up', 200), setval('public.down', -200), setval('public.turning', 1)`);
  expect(await behind()).toEqual([]);
});

it.each([
  [`SELECT setval('public.up', 99)`, 'sequence "public"."up" is behind: 100 on the source, 99 on the target'],
  [`SELECT setval('public.up', 100, false)`, 'sequence "public"."up" is behind: 100 on the source, 100 on the target'],
  [`SELECT setval('public.down', -99)`, 'sequence "public"."down" is behind: -100 on the source, -99 on the target'],
  ['DROP SEQUENCE public.unused', 'sequence "public"."unused" is missing on the target'],
])('%s is found', async (change, problem) => {
  await ends.run('target', 'BEGIN');
  await ends.run('target', change);
  const found = await behind();
  await ends.run('target', 'ROLLBACK');
  await ends.run('target', `SELECT setval('public.up', 100), setval('public.down', -100)`);
  expect(found).toEqual([problem]);
});

it('verify puts them ahead, of any width that holds them, and finds one that cannot be', async () => {
  const settings = config({ cutover: { sequenceMargin: 10 } as never });
  await ends.run('target', `SELECT setval('public.up', 1)`);
  expect(await verifySequences(ends.source, ends.target, settings)).toEqual([]);
  await ends.run('source', 'ALTER SEQUENCE public.up AS int');
  expect(await verifySequences(ends.source, ends.target, settings)).toEqual([]);
  await ends.run('target', 'DROP SEQUENCE public.unused');
  expect(await verifySequences(ends.source, ends.target, settings)).toEqual([
    'sequence "public"."unused" is missing on the target',
  ]);
});
