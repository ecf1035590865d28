import { setTimeout as sleep } from 'node:timers/promises';
import { RateLimit } from '../../../assets/agent/copy/rate-limit';

it('asks for no wait without a limit', () => {
  expect(new RateLimit(0).take(1e12)).toBe(0);
});

it('spreads what several take over the time that the rate gives', async () => {
  const limit = new RateLimit(1_000_000);
  const began = performance.now();
  const taker = async (): Promise<void> => {
    for (let taken = 0; taken < 10; taken += 1) await sleep(limit.take(10_000));
  };
  await Promise.all([taker(), taker()]);
  expect(performance.now() - began).toBeGreaterThan(150);
});

it('gives no credit for time in which nothing was taken', async () => {
  const limit = new RateLimit(1_000_000);
  limit.take(1);
  await sleep(100);
  expect(limit.take(100_000)).toBeGreaterThan(90);
});
