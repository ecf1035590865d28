import { setTimeout as sleep } from 'node:timers/promises';
import { Pace } from '../../../lib/rehearsal/workload/pace';

describe('the pace', () => {
  const never = new AbortController().signal;

  it('hands out permits no faster than its rate', async () => {
    const pace = new Pace(200);
    const from = performance.now();
    for (let i = 0; i < 60; i++) await pace.take(never);
    expect(performance.now() - from).toBeGreaterThan(55 * 5);
  });

  it('makes up for a stall with a tenth of a second only', async () => {
    const pace = new Pace(100);
    await sleep(400);
    const from = performance.now();
    for (let i = 0; i < 20; i++) await pace.take(never);
    expect(performance.now() - from).toBeGreaterThan(80);
  });

  it('lets everybody go when it is aborted', async () => {
    const pace = new Pace(0.01);
    const ending = new AbortController();
    const waiting = Promise.all([pace.take(ending.signal), pace.take(ending.signal)]);
    ending.abort();
    await expect(waiting).resolves.toBeDefined();
  });
});
