import { BackOff } from '../../../assets/agent/sync/back-off';

describe('back-off', () => {
  let now = 0;
  const waits = (backOff: BackOff): number => {
    const from = now;
    while (!backOff.ready) now += 500;
    return now - from;
  };

  test('waits twice as long after each try, up to a minute', () => {
    const backOff = new BackOff(() => now);
    const seen = Array.from({ length: 8 }, () => {
      backOff.tried();
      return waits(backOff) / 1000;
    });
    expect(seen).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test('waits about as long as a try took, up to ten minutes, and forgets no failure for that', () => {
    const backOff = new BackOff(() => now);
    const seen = [300_000, 3_600_000, 0].map((tookMs) => {
      now += tookMs;
      backOff.tried(tookMs);
      return waits(backOff) / 1000;
    });
    expect(seen).toEqual([300, 600, 4]);
  });

  test('forgets failures that are long over', () => {
    const backOff = new BackOff(() => now);
    backOff.tried();
    waits(backOff);
    backOff.tried();
    now += 200_000;
    backOff.tried();
    expect(waits(backOff)).toBe(1_000);
  });
});
