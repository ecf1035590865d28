import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../../assets/agent/errors';
import type { Switch } from '../../../assets/agent/switch/switch';
import { requireDone, Switches } from '../../../assets/agent/switch/switches';

let calls: string[];
beforeEach(() => (calls = []));

/** A switch that notes what it is asked, and does it at once. */
function noted(name: string, changes: Partial<Switch> = {}): Switch {
  const note =
    (what: string) =>
    (to: string): Promise<string> => {
      calls.push(`${name} ${what} ${to}`);
      return Promise.resolve(`${name} did`);
    };
  return {
    name,
    limitMs: 10_000,
    finishMs: 10_000,
    check: () => Promise.resolve([]),
    hold: async (to) => void (await note('hold')(to)),
    move: note('move'),
    release: async (to) => void (await note('release')(to)),
    finish: note('finish'),
    ...changes,
  };
}

const plenty = (): number => 10_000;

test('all switches hold and move in the order of the settings', async () => {
  const switches = new Switches([noted('a'), noted('b')]);
  await switches.hold('target', plenty);
  await expect(switches.move('target', plenty)).resolves.toBe('a did; b did');
  expect(calls).toEqual(['a hold target', 'b hold target', 'a move target', 'b move target']);
});

test('without a switch the operator moves the clients', async () => {
  await expect(new Switches([]).move('target', plenty)).resolves.toMatch(/^the operator points the clients/);
});

test('only what had begun goes back, and what goes back lets its clients go on', async () => {
  const failing = noted('b', { hold: () => Promise.reject(new Failure('no')) });
  const switches = new Switches([noted('a'), failing, noted('c')]);
  await expect(switches.hold('target', plenty)).rejects.toThrow('no');
  calls = [];
  const back = await switches.back('source');
  expect(calls).toEqual(expect.arrayContaining(['a move source', 'b move source', 'a release source']));
  expect(calls.filter((call) => call.startsWith('c '))).toEqual([]);
  expect(back.every(({ problem }) => problem === undefined)).toBe(true);
  // Once back, there is nothing to put back any more.
  calls = [];
  await switches.back('source');
  expect(calls).toEqual([]);
});

test('one that cannot go back keeps no other from it', async () => {
  const switches = new Switches([noted('a', { move: () => Promise.reject(new Failure('broken')) }), noted('b')]);
  await switches.hold('target', plenty);
  calls = [];
  const back = await switches.back('source');
  expect(calls).toContain('b release source');
  expect(back).toContainEqual({ switch: 'a', problem: 'broken' });
});

test('a switch that hangs is told to end when the budget is spent, and its end is waited for', async () => {
  const hanging = noted('a', {
    move: (_to, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener('abort', () =>
          setTimeout(() => {
            calls.push('a ended');
            reject(new Failure('told to end'));
          }, 100),
        ),
      ),
  });
  const switches = new Switches([hanging, noted('b')]);
  await expect(switches.move('target', () => 50)).rejects.toThrow(
    'switching clients to the target by a took longer than the 0.1 s that it had (told to end)',
  );
  expect(calls).toEqual(['a ended']);
});

test('a switch that does not even end is left behind after a moment', async () => {
  const switches = new Switches([noted('a', { move: () => new Promise(() => undefined) })]);
  await expect(switches.move('target', () => 10)).rejects.toThrow(/it does not end/);
});

test('time of its own is neither taken from the budget of the pause nor ended with it', async () => {
  const slow = noted('a', {
    limitMs: 5_000,
    ownBudget: true,
    move: (_to, { signal }) => sleep(1_000, 'a did', { signal }),
  });
  const end = performance.now() + 800;
  const left = (): number => end - performance.now();
  const switches = new Switches([slow, noted('b')]);
  await expect(switches.move('target', left)).resolves.toBe('a did; b did');
  const common = new Switches([{ ...slow, ownBudget: false }, noted('b')]);
  await expect(common.move('target', () => 200)).rejects.toThrow(/a took longer than the 0\.2 s/);
});

test('what an attempt that died has left goes home by every switch, or by those that lead away', async () => {
  const all = [
    noted('hook'),
    noted('away', { leads: () => Promise.resolve('target') }),
    noted('home', { leads: () => Promise.resolve('source') }),
    noted('unknown', { leads: () => Promise.resolve(undefined) }),
    noted('broken', { leads: () => Promise.reject(new Failure('no answer')) }),
  ];
  await new Switches(all).home('source', false);
  expect(calls.filter((call) => call.includes('move'))).toEqual(['away move source']);
  calls = [];
  await new Switches(all).home('source', true);
  expect(calls.filter((call) => call.includes('move'))).toHaveLength(5);
});

test('nothing is begun when no time is left', async () => {
  const switches = new Switches([noted('a')]);
  await expect(switches.move('target', () => 0)).rejects.toThrow(/no time was left/);
  expect(calls).toEqual([]);
});

test('what fails after the opening is told, and stops nothing', async () => {
  const switches = new Switches([noted('a', { release: () => Promise.reject(new Failure('gone')) }), noted('b')]);
  const released = await switches.release('target');
  expect(calls).toEqual(['b release target']);
  expect(() => requireDone(released, 'try again')).toThrow('gone; try again');
  expect(() => requireDone(released.slice(1), 'try again')).not.toThrow();
});

test('a look that fails is a problem of its switch', async () => {
  const switches = new Switches([noted('a', { check: () => Promise.reject(new Failure('no answer')) }), noted('b')]);
  await expect(switches.check('target')).resolves.toEqual([
    { switch: 'a', problems: ['no answer'] },
    { switch: 'b', problems: [] },
  ]);
});
