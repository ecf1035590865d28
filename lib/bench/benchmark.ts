import { oneLine } from '../../assets/agent/errors';
import type { DataSets } from './data-sets';
import type { BenchServers } from './servers';
import type { Figure, Series } from './statistics';

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
  /** The rate that was reached while that lag was measured; transactions a second. */
  readonly lagTransactionsPerSecond: number;
  /** Oldest snapshot held on the source while the stream copy runs; seconds. */
  readonly oldestSnapshotSeconds: number;
  /** Time of verify, divided by one pass over the slower side with the same hash. */
  readonly verifyVsHashPass: number;
}

/** Figures as they were found, each with its rounds. */
export type Found = { readonly [K in keyof Figures]?: Figure | undefined };

/** What each benchmark works with. */
export interface Bench {
  readonly servers: BenchServers;
  /** Databases of the source that several benchmarks read. */
  readonly data: DataSets;
  /** A smaller run for one's own use: less data, fewer rounds, figures that say little. */
  readonly quick: boolean;
  /** Rounds that are measured where so many are usual. */
  readonly rounds: (usual: number) => number;
  readonly log: (line: string) => void;
}

/** Series of one unit that belong into one plot, a bar each. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly Series[];
}

/** What was measured of one way at several sizes. */
export interface Line {
  readonly way: string;
  readonly points: readonly { readonly x: number; readonly values: readonly number[] }[];
}

/** How something grows with the size of what is worked on, a line for each way. */
export interface Growth {
  readonly title: string;
  readonly unit: string;
  /** What `x` is, with its unit. */
  readonly size: string;
  readonly lines: readonly Line[];
}

/** What a benchmark found. */
export interface Outcome {
  readonly figures: Found;
  readonly charts: readonly (Chart | Growth)[];
  /** What the reader has to know: sizes, what was left out and why. */
  readonly notes: readonly string[];
  /** Ways that failed, with the cause; they have no part in the figures. */
  readonly failures: readonly string[];
}

/** One thing that is measured. */
export interface Benchmark {
  /** Name for `--only`. */
  readonly name: string;
  readonly title: string;
  /** What is compared with what, and how. */
  readonly about: string;
  /** How long it is planned to take on two cores, making its data included. */
  readonly minutes: { readonly full: number; readonly quick: number };
  run(bench: Bench): Promise<Outcome>;
}

/** One of several ways to do the same. */
export interface Way {
  readonly name: string;
  /** Why it cannot be measured here; such a way is named in the report and never counted. */
  readonly absent?: string | undefined;
  /** The most rounds of it, for what has no part in a figure and takes long. @default as many as the others have */
  readonly mostRounds?: number;
}

/** What ways that took turns came to. */
export interface Turns {
  readonly series: readonly Series[];
  readonly failures: readonly string[];
}

/**
 * Measures all ways in turn, round after round, so that what else the machine does meets each of them alike. Each round
 * begins with another way, so that none always follows the same one, whose writes the disk may still be busy with. Ways
 * that are absent are left out. One that fails is not tried again and loses its values; the others go on without it.
 *
 * @param enough asked after each round whether to leave it at that. @default never
 */
export async function inTurn<T extends Way>(
  ways: readonly T[],
  rounds: number,
  measure: (way: T, round: number) => Promise<number>,
  say: (way: T, round: number, value: number) => void,
  enough: (round: number) => boolean = () => false,
): Promise<Turns> {
  const values = new Map(ways.filter((way) => way.absent === undefined).map((way) => [way, [] as number[]]));
  const failures: string[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const order = [...values];
    order.push(...order.splice(0, (round - 1) % order.length));
    for (const [way, measured] of order) {
      if (round > (way.mostRounds ?? rounds)) continue;
      try {
        const value = await measure(way, round);
        measured.push(value);
        say(way, round, value);
      } catch (error) {
        values.delete(way);
        failures.push(`${way.name} failed in round ${round}: ${oneLine(error)}`);
      }
    }
    if (enough(round)) break;
  }
  return { series: [...values].map(([way, measured]) => ({ way: way.name, values: measured })), failures };
}

/** Whether a further round, as long as those before it, would go beyond the time. */
export const isLate = (minutes: number, rounds: number, most: number): boolean =>
  (minutes / rounds) * (rounds + 1) > most;

/** Notes that name the ways which could not be measured. */
export const absentees = (ways: readonly Way[]): string[] =>
  ways.flatMap(({ name, absent }) => (absent === undefined ? [] : [`${name} was not measured: ${absent}.`]));

/** A note that names a way which has fewer rounds than the others. */
export const onlyRounds = ({ name, mostRounds }: Way): string[] =>
  mostRounds === undefined
    ? []
    : [`${name} has ${mostRounds === 1 ? 'one round' : `${mostRounds} rounds`}, and no part in the figures.`];
