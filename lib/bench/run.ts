import { oneLine } from '../../assets/agent/errors';
import type { Bench, Benchmark, Found, Outcome } from './benchmark';

/** A benchmark that was run, and what became of it. */
export interface Measured {
  readonly benchmark: Benchmark;
  /** What it found; undefined when it failed as a whole. */
  readonly outcome: Outcome | undefined;
  /** What failed of it, one line each. */
  readonly failures: readonly string[];
  readonly minutes: number;
}

/** What the run of all benchmarks works with beside them. */
export interface Surroundings {
  /** Removes what a benchmark left, whether it succeeded or not. */
  readonly clean: () => Promise<void>;
  /** Called after each benchmark with all that were run so far, so that nothing is lost when the run is killed. */
  readonly keep: (measured: readonly Measured[]) => void;
  readonly stop: AbortSignal;
}

/** The plan: minutes of each benchmark, and of all. */
export function planOf(benchmarks: readonly Benchmark[], quick: boolean): string[] {
  const planned = ({ minutes }: Benchmark): number => (quick ? minutes.quick : minutes.full);
  const width = Math.max(...benchmarks.map(({ name }) => name.length));
  return [
    ...benchmarks.map((each) => `${each.name.padEnd(width)} ${planned(each).toFixed(1).padStart(5)} min`),
    `${'all'.padEnd(width)} ${benchmarks
      .reduce((sum, each) => sum + planned(each), 0)
      .toFixed(1)
      .padStart(5)} min`,
  ];
}

/** Runs benchmarks one after the other. One that fails costs the others nothing. Rejects only when it is stopped. */
export async function runAll(
  benchmarks: readonly Benchmark[],
  bench: Bench,
  { clean, keep, stop }: Surroundings,
): Promise<readonly Measured[]> {
  const measured: Measured[] = [];
  for (const benchmark of benchmarks) {
    stop.throwIfAborted();
    const planned = bench.quick ? benchmark.minutes.quick : benchmark.minutes.full;
    bench.log(`${benchmark.name}: ${benchmark.title} (planned: ${planned} min)`);
    const began = performance.now();
    const one = await runOne(benchmark, bench);
    stop.throwIfAborted();
    const cleaned = await clean().then(
      () => [],
      (error: unknown) => [`could not be cleaned up: ${oneLine(error)}`],
    );
    const minutes = (performance.now() - began) / 60_000;
    const failures = [...one.failures, ...cleaned];
    for (const failure of failures) bench.log(`  ${failure}`);
    bench.log(`  ${minutes.toFixed(1)} min`);
    measured.push({ benchmark, outcome: one.outcome, failures, minutes });
    keep(measured);
  }
  return measured;
}

async function runOne(benchmark: Benchmark, bench: Bench): Promise<Pick<Measured, 'outcome' | 'failures'>> {
  try {
    const outcome = await benchmark.run({ ...bench, log: (line) => bench.log(`  ${line}`) });
    return { outcome, failures: outcome.failures };
  } catch (error) {
    return { outcome: undefined, failures: [`failed: ${oneLine(error)}`] };
  }
}

/** All figures that were measured, under their names. */
export const figuresOf = (measured: readonly Measured[]): Found =>
  Object.assign({}, ...measured.map(({ outcome }) => outcome?.figures)) as Found;
