import { absentees, inTurn } from '../../lib/bench/benchmark';
import { median, percentile, ratio, spread } from '../../lib/bench/statistics';

describe('statistics', () => {
  it.each([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[7], 7],
  ])('the median of %p is %p', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  it('a percentile is a value that was measured', () => {
    const values = Array.from({ length: 200 }, (_, i) => i + 1);
    expect([percentile(values, 0.99), percentile(values, 1), percentile([5], 0.5)]).toEqual([198, 200, 5]);
  });

  it('a spread reaches from the least to the most', () => {
    expect(spread([2, 9, 1])).toEqual({ least: 1, most: 9 });
  });

  it('a ratio is one of medians, and absent when a way was not measured', () => {
    const series = [
      { way: 'ours', values: [1, 100, 2] },
      { way: 'peer', values: [4, 8, 1] },
    ];
    expect(ratio(series, 'ours', 'peer')).toBe(0.5);
    expect(ratio(series, 'ours', 'nobody')).toBeUndefined();
  });
});

describe('ways', () => {
  const ways = [{ name: 'one' }, { name: 'gone', absent: 'gone is not installed' }, { name: 'two' }];

  it('take turns, round after round, and one that is absent takes none', async () => {
    const order: string[] = [];
    const series = await inTurn(
      ways,
      2,
      async (way, round) => {
        order.push(`${way.name} ${round}`);
        return order.length;
      },
      () => undefined,
    );
    expect(order).toEqual(['one 1', 'two 1', 'one 2', 'two 2']);
    expect(series).toEqual([
      { way: 'one', values: [1, 3] },
      { way: 'two', values: [2, 4] },
    ]);
  });

  it('that are absent are named', () => {
    expect(absentees(ways)).toEqual(['gone was not measured: gone is not installed.']);
  });
});
