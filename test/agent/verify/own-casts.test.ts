import { installShared, queueStatements } from '../../../assets/agent/capture/objects';
import type { Key, Relation } from '../../../assets/agent/catalog/relations';
import { checkKeyIndex } from '../../../assets/agent/verify/index-check';
import { KeyStates } from '../../../assets/agent/verify/pending';
import { queueKeys } from '../../../assets/agent/verify/repair';
import { OWN_CASTS } from '../../helpers/own-casts';
import { startEnds, type Ends } from './ends';

let ends: Ends;
let relation: Relation;
beforeAll(async () => {
  ends = await startEnds();
  await ends.run('both', OWN_CASTS);
  await ends.run('both', `INSERT INTO public.by_own VALUES ('a', 1), ('b', 2), ('c', 3)`);
  await ends.run('target', `UPDATE public.by_own SET v = 0 WHERE k = 'a'`);
  relation = await ends.relation('"public"."by_own"');
  await installShared(ends.source);
  for (const statement of queueStatements(relation)) await ends.run('source', statement);
});
afterAll(() => ends.stop());

describe('a key whose owner has made casts of his own to text and from it', () => {
  it('has casts that tell when they are called', async () => {
    for (const client of [ends.source, ends.target]) {
      await expect(client.query('SELECT k::text FROM public.by_own')).rejects.toThrow('called');
      await expect(client.query(`SELECT k::public.own FROM (VALUES ('a'::text)) AS t (k)`)).rejects.toThrow('called');
    }
  });

  it('is compared by its output function', async () => {
    const { keys, sourceRows } = await ends.compare('"public"."by_own"', { chunkRows: 1 });
    expect(sourceRows).toBe(3);
    expect(keys).toEqual([expect.objectContaining({ kind: 'different', key: ['a'] })]);
  });

  it.each(['source', 'target'] as const)('has its index checked on the %s', async (end) => {
    const check = await checkKeyIndex(ends[end], relation, relation.key as Key, 1);
    expect(check).toEqual({ rows: 3, indexRows: 3, misplaced: 0, ok: true });
  });

  it('is looked up, and put into the queue of changes, by its input function', async () => {
    const states = await KeyStates.of(ends.source, relation, 't.v::text');
    await queueKeys(ends.source, relation, [['a']]);
    expect(await states.onSource(ends.source, [['a'], ['c']])).toEqual([
      { hash: '1', pending: true },
      { hash: '3', pending: false },
    ]);
    expect(await states.onTarget(ends.target, [['a'], ['c']])).toEqual([
      { hash: '0', pending: false },
      { hash: '3', pending: false },
    ]);
  });
});
