import { setTimeout as sleep } from 'node:timers/promises';
import { Timeline } from '../../../assets/agent/cutover/timeline';

const never = (): Promise<never> => new Promise(() => undefined);

describe('the time budget of the pause', () => {
  it('ends a step that does not come back, by its name', async () => {
    const timeline = new Timeline(100);
    await expect(timeline.step('drain', never)).rejects.toThrow('the time budget of 0.1 s was spent at step "drain"');
    expect(timeline.elapsed()).toBeGreaterThanOrEqual(99);
    expect(timeline.elapsed()).toBeLessThan(2_000);
  });

  it('is one for all steps: when it is spent no further one begins', async () => {
    const timeline = new Timeline(50);
    await timeline.step('fence', () => sleep(60, undefined), false);
    let begun = false;
    const next = timeline.step('drain', async () => {
      begun = true;
    });
    await expect(next).rejects.toThrow('at step "drain"');
    expect(begun).toBe(false);
  });

  it('does not end what keeps to its own time, or must not be left half done', async () => {
    const timeline = new Timeline(20);
    await expect(timeline.step('open', () => sleep(60, 'done'), false)).resolves.toBe('done');
  });

  it('keeps each step with its begin and length, also one that failed', async () => {
    const timeline = new Timeline(1_000);
    await timeline.step('fence', () => sleep(30));
    await expect(timeline.step('drain', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const [fence, drain] = timeline.steps;
    expect([fence?.step, drain?.step]).toEqual(['fence', 'drain']);
    expect(fence?.ms).toBeGreaterThanOrEqual(29);
    expect(drain?.startMs).toBeGreaterThanOrEqual(29);
    expect(timeline.left()).toBeLessThan(972);
  });
});
