import type { Bench, Benchmark, Outcome } from '../../lib/bench/benchmark';
import { figuresOf, planOf, runAll, type Measured } from '../../lib/bench/run';

const found = (value: number): Outcome => ({
  figures: { copyVsPgcopydb: { value, rounds: [value] } },
  charts: [],
  notes: [],
  failures: [],
});

const benchmark = (name: string, run: Benchmark['run'], full = 2): Benchmark => ({
  name,
  title: `The ${name}`,
  about: '',
  minutes: { full, quick: 0.25 },
  run,
});

const said: string[] = [];
beforeEach(() => (said.length = 0));
const bench = { quick: false, log: (line: string) => void said.push(line) } as unknown as Bench;
const stop = new AbortController();

describe('the run of all benchmarks', () => {
  it('goes on when one fails, cleans up after each, and keeps what there is each time', async () => {
    const order: string[] = [];
    const kept: string[][] = [];
    const measured = await runAll(
      [
        benchmark('fall', async () => {
          order.push('fall');
          throw new Error('it\nfell');
        }),
        benchmark('race', async () => {
          order.push('race');
          return found(0.5);
        }),
        benchmark('half', async () => ({ ...found(0.6), failures: ['a peer failed'] })),
      ],
      bench,
      {
        clean: async () => void order.push('cleaned'),
        keep: (all: readonly Measured[]) => void kept.push(all.map((each) => each.benchmark.name)),
        stop: stop.signal,
      },
    );
    expect(order).toEqual(['fall', 'cleaned', 'race', 'cleaned', 'cleaned']);
    expect(kept).toEqual([['fall'], ['fall', 'race'], ['fall', 'race', 'half']]);
    expect(measured.map(({ failures }) => failures)).toEqual([['failed: it fell'], [], ['a peer failed']]);
    expect(figuresOf(measured)).toEqual({ copyVsPgcopydb: { value: 0.6, rounds: [0.6] } });
    expect(said).toContain('fall: The fall (planned: 2 min)');
    expect(said).toContain('  failed: it fell');
  });

  it('says what could not be cleaned up', async () => {
    const [one] = await runAll([benchmark('race', async () => found(1))], bench, {
      clean: () => Promise.reject(new Error('busy')),
      keep: () => undefined,
      stop: stop.signal,
    });
    expect(one?.failures).toEqual(['could not be cleaned up: busy']);
  });

  it('ends when it is stopped, and begins nothing more', async () => {
    const ending = new AbortController();
    const begun: string[] = [];
    const all = ['one', 'two'].map((name) =>
      benchmark(name, async () => {
        begun.push(name);
        ending.abort(new Error('stopped'));
        return found(1);
      }),
    );
    const run = runAll(all, bench, { clean: async () => undefined, keep: () => undefined, stop: ending.signal });
    await expect(run).rejects.toThrow('stopped');
    expect(begun).toEqual(['one']);
  });
});

it('the plan names the minutes of each and of all', () => {
  const all = [benchmark('race', async () => found(1), 2.5), benchmark('walking', async () => found(1), 11)];
  expect(planOf(all, false)).toEqual(['race      2.5 min', 'walking  11.0 min', 'all      13.5 min']);
  expect(planOf(all, true).at(-1)).toBe('all       0.5 min');
});
