import { Pauses } from '../../../lib/rehearsal/workload/pauses';

describe('the write pause', () => {
  let now = 0;
  let pauses: Pauses;
  beforeEach(() => {
    now = 1_000;
    pauses = new Pauses(() => now);
  });

  it('lasts from one acknowledged write to the next, of whichever writer', () => {
    pauses.wanted();
    pauses.wanted();
    now += 100;
    pauses.acknowledged();
    now += 400;
    pauses.acknowledged();
    expect(pauses.longest()).toEqual({ longestMs: 400, at: 1_100 });
  });

  it('does not count the time in which nobody wanted to write', () => {
    pauses.wanted();
    pauses.acknowledged();
    now += 60_000;
    pauses.wanted();
    now += 30;
    pauses.acknowledged();
    expect(pauses.longest()).toEqual({ longestMs: 30, at: 61_000 });
  });

  it('counts the one that still lasts', () => {
    pauses.wanted();
    now += 700;
    expect(pauses.longest()).toEqual({ longestMs: 700, at: 1_000 });
  });

  it('goes on when one of several writers gives up', () => {
    pauses.wanted();
    pauses.wanted();
    now += 300;
    pauses.gaveUp();
    now += 300;
    pauses.acknowledged();
    expect(pauses.longest().longestMs).toBe(600);
  });

  it('is found by the instant it covers, and by the instant after which it ended', () => {
    for (const gap of [900, 50, 5_000]) {
      pauses.wanted();
      now += gap;
      pauses.acknowledged();
      now += 10_000;
    }
    expect(pauses.around(1_500).longestMs).toBe(900);
    expect(pauses.around(11_920).longestMs).toBe(50);
    expect(pauses.around(8_000)).toEqual({ longestMs: 0, at: undefined });
    expect(pauses.longest(2_000).longestMs).toBe(5_000);
  });
});
