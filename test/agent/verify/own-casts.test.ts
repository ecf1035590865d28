import { installShared, queueStatements } from '../../../assets/agent/capture/objects';
import type { Key, Relation } from '../../../assets/agent/catalog/relations';
import { checkKeyIndex } from '../../../assets/agent/verify/index-check';
import { KeyStates } from '../../../assets/agent/verify/pending';
import { queueKeys } from '../../../assets/agent/verify/repair';
import { OWN_CASTS } from '../../helpers/own-casts';
import { startEnds, type Ends } from './ends';

let ends: Ends;
beforeAll(async () => {
  ends = await startEnds();
  await ends.run('both', OWN_CASTS);
  await installShared(ends.source);
});
afterAll(() => ends.stop());

describe.each([
  ['of a type', 'by_own', 'public.own', ['a', 'b', 'c']],
  ['of a domain over a type', 'by_own_domain', 'public.own_dd', ['[1,2)', '[3,4)', '[5,6)']],
])(
  'a key %s whose owner has made casts of his own to text and from it',
  (_, name, type, [first = '', second = '', third = '']) => {
    const table = `"public"."${name}"`;
    let relation: Relation;
    beforeAll(async () => {
      await ends.run('both', `INSERT INTO ${table} VALUES ('${first}', 1), ('${second}', 2), ('${third}', 3)`);
      await ends.run('target', `UPDATE ${table} SET v = 0 WHERE k = '${first}'`);
      relation = await ends.relation(table);
      for (const statement of queueStatements(relation)) await ends.run('source', statement);
    });

    it('has casts that tell when they are called', async () => {
      for (const client of [ends.source, ends.target]) {
        await expect(client.query(`SELECT k::text FROM ${table}`)).rejects.toThrow('called');
        await expect(client.query(`SELECT k::${type} FROM (VALUES ('${first}'::text)) AS t (k)`)).rejects.toThrow(
          'called',
        );
      }
    });

    it('is compared by its output function', async () => {
      const { keys, sourceRows } = await ends.compare(table, { chunkRows: 1 });
      expect(sourceRows).toBe(3);
      expect(keys).toEqual([expect.objectContaining({ kind: 'different', key: [first] })]);
    });

    it.each(['source', 'target'] as const)('has its index checked on the %s', async (end) => {
      const check = await checkKeyIndex(ends[end], relation, relation.key as Key, 1);
      expect(check).toEqual({ rows: 3, indexRows: 3, misplaced: 0, ok: true });
    });

    it('is looked up, and put into the queue of changes, by its input function', async () => {
      const states = await KeyStates.of(ends.source, relation, 't.v::text');
      await queueKeys(ends.source, relation, [[first]]);
      expect(await states.onSource(ends.source, [[first], [third]])).toEqual([
        { hash: '1', pending: true },
        { hash: '3', pending: false },
      ]);
      expect(await states.onTarget(ends.target, [[first], [third]])).toEqual([
        { hash: '0', pending: false },
        { hash: '3', pending: false },
      ]);
    });
  },
);
