import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Benchmark, Figures, Outcome } from './benchmark';
import { plotBars, readable } from './plot';
import { median, spread } from './statistics';

/** Each figure as the report shows it: what is measured, and what we aim at. */
const GOALS: Readonly<Record<keyof Figures, readonly [measure: string, goal: string]>> = {
  copyVsPgcopydb: ['stream copy ÷ pgcopydb clone, time', '≤ 0.8'],
  copyVsDumpRestore: ['stream copy ÷ pg_dump + pg_restore, time', '≤ 0.65'],
  catchUpSpeedup: ['stock Bucardo ÷ catch-up, time for 1 M changed keys', '≥ 15'],
  catchUpVsTuned: ['tuned Bucardo ÷ catch-up, time for 1 M changed keys', '≥ 4'],
  catchUpMemoryMb1M: ['peak memory of catch-up, 1 M changed keys, MB', '≤ 200'],
  catchUpMemoryMb10M: ['peak memory of catch-up, 10 M changed keys, MB', '≤ 200'],
  captureVsStock: ["throughput lost to capture ÷ lost to stock Bucardo's triggers", '≤ 0.6'],
  captureLossPercent: ['throughput lost to capture, %', ''],
  stockLossPercent: ["throughput lost to stock Bucardo's triggers, %", ''],
  installDelayMs: ['longest statement while triggers are installed, ms', '≤ lock time-out + 100'],
  lagP99Seconds: ['lag at 300 transactions a second, 99th percentile, s', '≤ 1.5'],
  oldestSnapshotSeconds: ['oldest snapshot on the source during the copy, s', '≤ one chunk'],
  verifyVsHashPass: ['verify ÷ one plain hash pass of the slower side, time', '≤ 1.3'],
};

/** A benchmark and what it found. */
export interface Measured {
  readonly benchmark: Benchmark;
  readonly outcome: Outcome;
}

/** All figures that were measured, under their names. */
export const figuresOf = (measured: readonly Measured[]): Partial<Figures> =>
  Object.assign({}, ...measured.map(({ outcome }) => outcome.figures)) as Partial<Figures>;

/** Writes `benchmarks.md` and its plots into a directory. Plots of an earlier run are removed. */
export function writeReport(directory: string, measured: readonly Measured[], machine: string, minutes: number): void {
  const plots = join(directory, 'benchmarks');
  rmSync(plots, { recursive: true, force: true });
  mkdirSync(plots, { recursive: true });
  const sections = measured.map(({ benchmark, outcome }) => {
    const charts = outcome.charts.map((chart, index) => {
      const file = `${benchmark.name}-${index + 1}.svg`;
      writeFileSync(join(plots, file), plotBars(chart));
      return `![${chart.title}](benchmarks/${file})\n\n${table(chart)}`;
    });
    return [`## ${benchmark.title}`, benchmark.about, ...charts, ...outcome.notes].join('\n\n');
  });
  const text = [
    '# Benchmarks',
    `Written by \`npm run bench\` in ${Math.ceil(minutes)} minutes; do not edit. Ways take turns, round after round, on the same servers and data; bars are medians, lines reach from the least to the most.`,
    `Machine: ${machine}.`,
    overview(figuresOf(measured)),
    ...sections,
  ].join('\n\n');
  writeFileSync(join(directory, 'benchmarks.md'), `${text}\n`);
}

function overview(figures: Partial<Figures>): string {
  const rows = (Object.keys(GOALS) as (keyof Figures)[]).flatMap((key) => {
    const value = figures[key];
    const [measure, goal] = GOALS[key];
    return value === undefined ? [] : [[`\`${key}\``, measure, readable(value), goal]];
  });
  return lines([['figure', 'measure', 'found', 'goal'], ...rows]);
}

function table({ unit, series }: Outcome['charts'][number]): string {
  const rows = series.map(({ way, values }) => {
    const { least, most } = spread(values);
    return [
      way,
      readable(median(values)),
      `${readable(least)} – ${readable(most)}`,
      values.map((value) => readable(value)).join(', '),
    ];
  });
  return lines([['way', `median, ${unit}`, 'least – most', 'each round'], ...rows]);
}

/** A Markdown table with columns as wide as their widest cell, as prettier leaves it. */
function lines(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => [...(row[column] ?? '')].length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}
