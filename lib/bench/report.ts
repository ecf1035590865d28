import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Chart, Figures, Growth } from './benchmark';
import { GOALS, meets } from './goals';
import { describePlot, plot, readable } from './plot';
import { figuresOf, type Measured } from './run';
import { median, spread, type Figure } from './statistics';

/** Where, with what and how long it was measured. */
export interface Conditions {
  readonly machine: string;
  /** Servers and peers with their versions. */
  readonly tools: string;
  /** Since the start. */
  readonly minutes: number;
  readonly quick: boolean;
}

/** Figures in the order of the goals. */
function found(measured: readonly Measured[]): (readonly [keyof Figures, Figure])[] {
  const figures = figuresOf(measured);
  return (Object.keys(GOALS) as (keyof Figures)[]).flatMap((key) => {
    const figure = figures[key];
    return figure === undefined ? [] : [[key, figure] as const];
  });
}

/** Figures for machines: each under its name, and under `rounds` what each round alone gave. */
export function toJson(measured: readonly Measured[]): string {
  const figures = found(measured);
  const values = Object.fromEntries(figures.map(([key, { value }]) => [key, value]));
  const rounds = Object.fromEntries(figures.map(([key, figure]) => [key, figure.rounds]));
  return `${JSON.stringify({ ...values, rounds }, null, 2)}\n`;
}

/** Writes `benchmarks.md` and its plots into a directory. Plots of an earlier run are removed. */
export function writeReport(directory: string, measured: readonly Measured[], conditions: Conditions): void {
  const plots = join(directory, 'benchmarks');
  rmSync(plots, { recursive: true, force: true });
  mkdirSync(plots, { recursive: true });
  const { machine, tools, minutes, quick } = conditions;
  const text = [
    '# Benchmarks',
    `Written by \`npm run bench\` in ${Math.ceil(minutes)} minutes; do not edit. Ways take turns, round after round, on the same servers and data. What counts is the median of the rounds. Bars are medians, lines across them reach from the least to the most.`,
    ...(quick ? ['A quick run, with little data and one round: its figures say little.'] : []),
    `Machine: ${machine}.`,
    `Servers and peers: ${tools}.`,
    overview(measured),
    ...problems(measured),
    ...measured.flatMap((each) => section(plots, each)),
    '## The time of it all',
    times(measured, quick),
  ].join('\n\n');
  writeFileSync(join(directory, 'benchmarks.md'), `${text}\n`);
}

function overview(measured: readonly Measured[]): string {
  const rows = found(measured).map(([key, { value, rounds }]) => {
    const { measure, goal } = GOALS[key];
    const met = meets(key, value);
    return [
      `\`${key}\``,
      measure,
      readable(value),
      rounds.map(readable).join(', '),
      met === undefined ? goal : `${goal}: ${met ? 'met' : '**missed**'}`,
    ];
  });
  return lines([['figure', 'measure', 'found', 'each round', 'goal'], ...rows]);
}

/** What could not be measured stands where nobody can miss it. */
function problems(measured: readonly Measured[]): string[] {
  const failed = measured.flatMap(({ benchmark, failures }) => failures.map((line) => `- ${benchmark.name}: ${line}`));
  return failed.length === 0 ? [] : ['## What failed', failed.join('\n')];
}

function section(plots: string, { benchmark, outcome }: Measured): string[] {
  const charts = (outcome?.charts ?? []).flatMap((chart, index) => {
    const file = `${benchmark.name}-${index + 1}.svg`;
    writeFileSync(join(plots, file), plot(chart));
    return [`![${describePlot(chart).replaceAll(/[[\]]/g, '')}](benchmarks/${file})`, table(chart)];
  });
  return [`## ${benchmark.title}`, benchmark.about, ...charts, notes(outcome?.notes ?? [])].filter(
    (part) => part !== '',
  );
}

const notes = (texts: readonly string[]): string => texts.map((text) => `- ${text}`).join('\n');

function table(chart: Chart | Growth): string {
  const head = [`median, ${chart.unit}`, 'least – most', 'each round'];
  if ('series' in chart) {
    return lines([['way', ...head], ...chart.series.map(({ way, values }) => [way, ...summary(values)])]);
  }
  const rows = chart.lines.flatMap(({ way, points }) =>
    points.map(({ x, values }) => [way, readable(x), ...summary(values)]),
  );
  return lines([['way', chart.size, ...head], ...rows]);
}

function summary(values: readonly number[]): string[] {
  const { least, most } = spread(values);
  return [
    readable(median(values)),
    `${readable(least)} – ${readable(most)}`,
    values.map((value) => readable(value)).join(', '),
  ];
}

function times(measured: readonly Measured[], quick: boolean): string {
  const rows = measured.map(({ benchmark, minutes }) => {
    const planned = quick ? benchmark.minutes.quick : benchmark.minutes.full;
    return [benchmark.name, planned.toFixed(1), minutes.toFixed(1)];
  });
  return lines([['benchmark', 'planned, min', 'taken, min'], ...rows]);
}

/** A Markdown table with columns as wide as their widest cell, as prettier leaves it. */
function lines(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map((cell) => cell.replaceAll('|', String.raw`\|`)));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => [...(row[column] ?? '')].length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}
