import type { Relation } from '../../../assets/agent/catalog/relations';
import { groupRelations, matches, type GroupingInput } from '../../../assets/agent/sync/groups';

const relation = (oid: number, name = `t${oid}`, schema = 'shop'): Relation =>
  ({ oid, schema, name, sql: `"${schema}"."${name}"` }) as Relation;

const grouped = (input: Partial<GroupingInput> & Pick<GroupingInput, 'relations'>): number[][] =>
  groupRelations({ ties: [], writes: new Map(), groups: [], shared: 2, ...input })
    .map((members) => members.map(({ oid }) => oid).sort((a, b) => a - b))
    .sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));

const range = (count: number): Relation[] => Array.from({ length: count }, (_, index) => relation(index + 1));

describe('grouping of relations into syncs', () => {
  test('puts each relation into exactly one group, whatever is asked for', () => {
    const relations = range(23);
    const groups = grouped({
      relations,
      shared: 4,
      ties: [
        [1, 2],
        [2, 3],
        [9, 10],
      ],
      groups: [['shop.t2*']],
    });
    expect(groups.flat().sort((a, b) => a - b)).toEqual(relations.map(({ oid }) => oid));
    expect(groups).toHaveLength(5);
  });

  test('gives the shared groups equally much to do, by what was written', () => {
    const writes = new Map([
      [1, 900],
      [2, 500],
      [3, 400],
      [4, 10],
    ]);
    expect(grouped({ relations: range(4), writes })).toEqual(
      [
        [1, 4],
        [2, 3],
      ].map((one) => one),
    );
  });

  test('keeps together what foreign keys and partitions tie, over a table that is none of them too', () => {
    const writes = new Map([
      [1, 100],
      [2, 100],
      [3, 100],
      [4, 100],
    ]);
    expect(
      grouped({
        relations: range(4),
        writes,
        ties: [
          [1, 99],
          [4, 99],
        ],
      }),
    ).toEqual([
      [1, 4],
      [2, 3],
    ]);
  });

  test('spreads what is tied nevertheless when it is most of the work', () => {
    const writes = new Map([
      [1, 500],
      [2, 500],
      [3, 1],
    ]);
    const groups = grouped({ relations: range(3), writes, ties: [[1, 2]] });
    expect(groups.filter((members) => members.includes(1) && members.includes(2))).toEqual([]);
  });

  test('takes the first group of the settings that matches, and refuses one that matches nothing', () => {
    const relations = [relation(1, 'order_item'), relation(2, 'order'), relation(3, 'Mixed Case', 'app')];
    expect(grouped({ relations, shared: 1, groups: [['shop.order_*', 'app.*'], ['shop.order*']] })).toEqual([
      [1, 3],
      [2],
    ]);
    expect(() => grouped({ relations, groups: [['shop.nothing']] })).toThrow('no relation matches shop.nothing');
  });

  test('a pattern is no regular expression but for its asterisks', () => {
    expect(matches(relation(1, 'a.b+c'), 'shop.a.b+c')).toBe(true);
    expect(matches(relation(1, 'axb'), 'shop.a.b')).toBe(false);
    expect(matches(relation(1, 'order'), 'hop.order')).toBe(false);
    expect(matches(relation(1, 'order'), '*')).toBe(true);
  });
});
