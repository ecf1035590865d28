import { Spacing } from '../../assets/agent/spacing';

describe('the wait between two looks', () => {
  let now = 0;
  const waitAfter = async (tookMs: number, end: () => Promise<unknown> = () => Promise.resolve()): Promise<number> => {
    const spacing = new Spacing(() => now);
    expect(spacing.due).toBe(true);
    await spacing
      .run(() => {
        now += tookMs;
        return end();
      })
      .catch(() => undefined);
    const ended = now;
    while (!spacing.due) now += 1;
    return now - ended;
  };

  test('is ten times what the last one took, so that one that takes no time waits for nothing', async () => {
    expect([await waitAfter(0), await waitAfter(5), await waitAfter(3_000)]).toEqual([0, 50, 30_000]);
  });

  test('is as long after one that failed', async () => {
    expect(await waitAfter(200, () => Promise.reject(new Error('lost')))).toBe(2_000);
  });

  test('is a minute at most, since a look may have waited for a lock', async () => {
    expect(await waitAfter(3_600_000)).toBe(60_000);
  });
});
