import type { Figures } from './benchmark';

/** What a figure measures, and what we aim at. */
export interface Goal {
  readonly measure: string;
  /** As it is written. */
  readonly goal: string;
  /** The most that meets it. @default it cannot be told by the figure alone */
  readonly most?: number;
  /** The least that meets it. @default as above */
  readonly least?: number;
}

const atMost = (measure: string, most: number): Goal => ({ measure, goal: `≤ ${most}`, most });

/** Each figure as the report shows it. The lock time-out of the benchmarks is 500 ms. */
export const GOALS: Readonly<Record<keyof Figures, Goal>> = {
  copyVsPgcopydb: atMost('stream copy ÷ pgcopydb clone, time', 0.8),
  copyVsDumpRestore: atMost('stream copy ÷ pg_dump + pg_restore, time', 0.65),
  catchUpSpeedup: { measure: 'stock Bucardo ÷ catch-up, time for 1 M changed keys', goal: '≥ 15', least: 15 },
  catchUpVsTuned: { measure: 'tuned Bucardo ÷ catch-up, time for 1 M changed keys', goal: '≥ 4', least: 4 },
  catchUpMemoryMb1M: atMost('peak memory of catch-up, 1 M changed keys, MB', 200),
  catchUpMemoryMb10M: atMost('peak memory of catch-up, 10 M changed keys, MB', 200),
  captureVsStock: atMost("throughput lost to capture ÷ lost to stock Bucardo's triggers", 0.6),
  captureLossPercent: { measure: 'throughput lost to capture, %', goal: '' },
  stockLossPercent: { measure: "throughput lost to stock Bucardo's triggers, %", goal: '' },
  installDelayMs: {
    measure: 'longest statement while triggers are installed, ms',
    goal: '≤ lock time-out + 100',
    most: 600,
  },
  lagP99Seconds: atMost('lag at 300 transactions a second, 99th percentile, s', 1.5),
  lagTransactionsPerSecond: { measure: 'the rate that was reached meanwhile, /s', goal: '' },
  oldestSnapshotSeconds: { measure: 'oldest snapshot on the source during the copy, s', goal: '≤ one chunk' },
  verifyVsHashPass: atMost('verify ÷ one plain hash pass of the slower side, time', 1.3),
};

/** Whether a value meets its goal; undefined where the figure alone cannot tell. */
export function meets(key: keyof Figures, value: number): boolean | undefined {
  const { most, least } = GOALS[key];
  if (most !== undefined) return value <= most;
  return least === undefined ? undefined : value >= least;
}
