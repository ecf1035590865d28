import { absentees, inTurn, isLate, onlyRounds } from '../../lib/bench/benchmark';
import { figureOf, largestFigure, median, medianFigure, percentile, ratio, spread } from '../../lib/bench/statistics';

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

  it('a ratio is one of medians, beside that of each round, and absent when a way was not measured', () => {
    const series = [
      { way: 'ours', values: [1, 100, 2] },
      { way: 'peer', values: [4, 8, 1] },
    ];
    expect(ratio(series, 'ours', 'peer')).toEqual({ value: 0.5, rounds: [0.25, 12.5, 2] });
    expect(ratio(series, 'ours', 'nobody')).toBeUndefined();
    expect(ratio([...series, { way: 'failed', values: [] }], 'ours', 'failed')).toBeUndefined();
  });

  it('a figure of several ways is that of their medians', () => {
    const lost = figureOf(
      [
        [10, 20, 30],
        [5, 15, 30],
      ],
      (all = 0, left = 0) => all - left,
    );
    expect(lost).toEqual({ value: 5, rounds: [5, 5, 0] });
    expect([medianFigure([3, 1, 2]), medianFigure([])]).toEqual([{ value: 2, rounds: [3, 1, 2] }, undefined]);
    expect([largestFigure([3, 1, 2]), largestFigure([])]).toEqual([{ value: 3, rounds: [3, 1, 2] }, undefined]);
  });
});

describe('ways', () => {
  const ways = [{ name: 'one' }, { name: 'gone', absent: 'gone is not installed' }, { name: 'two' }];

  it('take turns, each round beginning with another, and one that is absent takes none', async () => {
    const order: string[] = [];
    const turns = await inTurn(
      ways,
      2,
      async (way, round) => {
        order.push(`${way.name} ${round}`);
        return order.length;
      },
      () => undefined,
    );
    expect(order).toEqual(['one 1', 'two 1', 'two 2', 'one 2']);
    expect(turns).toEqual({
      series: [
        { way: 'one', values: [1, 4] },
        { way: 'two', values: [2, 3] },
      ],
      failures: [],
    });
  });

  it('are left at the rounds that there are when the time is up, with all ways in each', async () => {
    const turns = await inTurn(
      ways,
      5,
      async (_way, round) => round,
      () => undefined,
      (round) => isLate(round * 2, round, 7),
    );
    expect(turns.series).toEqual([
      { way: 'one', values: [1, 2, 3] },
      { way: 'two', values: [1, 2, 3] },
    ]);
  });

  it('that fail cost the others nothing, are not tried again, and leave no values', async () => {
    const tried: string[] = [];
    const turns = await inTurn(
      ways,
      3,
      async (way, round) => {
        tried.push(way.name);
        if (way.name === 'one' && round === 2) throw new Error('it is\nbroken');
        return round;
      },
      () => undefined,
    );
    expect(tried).toEqual(['one', 'two', 'two', 'one', 'two']);
    expect(turns).toEqual({
      series: [{ way: 'two', values: [1, 2, 3] }],
      failures: ['one failed in round 2: it is broken'],
    });
  });

  it('that have fewer rounds are measured in the first ones, and are named', async () => {
    const slow = { name: 'slow', mostRounds: 1 };
    const turns = await inTurn(
      [slow, { name: 'one' }],
      3,
      async (_way, round) => round,
      () => undefined,
    );
    expect(turns.series).toEqual([
      { way: 'slow', values: [1] },
      { way: 'one', values: [1, 2, 3] },
    ]);
    expect([slow, ...ways].flatMap(onlyRounds)).toEqual(['slow has one round, and no part in the figures.']);
  });

  it('that are absent are named', () => {
    expect(absentees(ways)).toEqual(['gone was not measured: gone is not installed.']);
  });
});
