import type { BenchServers } from './servers';
import type { Series } from './statistics';

/**
 * The figures by which one release is told from another; ratios of medians within one run where nothing else is said.
 * A figure that was not measured is absent.
 */
export interface Figures {
  /** Time of the stream copy, divided by pgcopydb clone's. */
  readonly copyVsPgcopydb: number;
  /** Time of the stream copy, divided by that of pg_dump and pg_restore without compression. */
  readonly copyVsDumpRestore: number;
  /** Time of stock Bucardo for 1 M changed keys, divided by catch-up's. */
  readonly catchUpSpeedup: number;
  /** Time of a tuned Bucardo for 1 M changed keys, divided by catch-up's. */
  readonly catchUpVsTuned: number;
  /** Most memory of all processes of the host program at once, with 1 M changed keys; MB. */
  readonly catchUpMemoryMb1M: number;
  /** The same with 10 M changed keys; MB. */
  readonly catchUpMemoryMb10M: number;
  /** Share of throughput lost to capture, divided by that lost to stock Bucardo's triggers. */
  readonly captureVsStock: number;
  /** Throughput lost to capture; percent. */
  readonly captureLossPercent: number;
  /** Throughput lost to stock Bucardo's triggers with autokick; percent. */
  readonly stockLossPercent: number;
  /** Longest statement of the application while triggers are installed; milliseconds. */
  readonly installDelayMs: number;
  /** Age of the oldest change that the target lacks, at 300 transactions a second; seconds, 99th percentile. */
  readonly lagP99Seconds: number;
  /** Oldest snapshot held on the source while the stream copy runs; seconds. */
  readonly oldestSnapshotSeconds: number;
  /** Time of verify, divided by one pass over the slower side with the same hash. */
  readonly verifyVsHashPass: number;
}

/** What each benchmark works with. */
export interface Bench {
  readonly servers: BenchServers;
  /** A smaller run for one's own use: less data, fewer rounds, figures that say little. */
  readonly quick: boolean;
  readonly log: (line: string) => void;
}

/** Series of one unit that belong into one plot. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly Series[];
}

/** What a benchmark found. */
export interface Outcome {
  readonly figures: Partial<Figures>;
  readonly charts: readonly Chart[];
  /** What the reader has to know: sizes, what was left out and why. */
  readonly notes: readonly string[];
}

/** One thing that is measured. */
export interface Benchmark {
  /** Name for `--only`. */
  readonly name: string;
  readonly title: string;
  /** What is compared with what, and how. */
  readonly about: string;
  run(bench: Bench): Promise<Outcome>;
}

/** One of several ways to do the same. */
export interface Way {
  readonly name: string;
  /** Why it cannot be measured here; such a way is named in the report and never counted. */
  readonly absent?: string | undefined;
}

/**
 * Measures all ways in turn, round after round, so that what else the machine does meets each of them alike. Ways that
 * are absent are left out.
 */
export async function inTurn<T extends Way>(
  ways: readonly T[],
  rounds: number,
  measure: (way: T, round: number) => Promise<number>,
  say: (way: T, round: number, value: number) => void,
): Promise<Series[]> {
  const present = ways.filter((way) => way.absent === undefined);
  const values = new Map(present.map((way) => [way, [] as number[]]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const way of present) {
      const value = await measure(way, round);
      values.get(way)?.push(value);
      say(way, round, value);
    }
  }
  return present.map((way) => ({ way: way.name, values: values.get(way) ?? [] }));
}

/** Notes that name the ways which could not be measured. */
export const absentees = (ways: readonly Way[]): string[] =>
  ways.flatMap(({ name, absent }) => (absent === undefined ? [] : [`${name} was not measured: ${absent}.`]));
