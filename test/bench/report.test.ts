import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../lib/bundle';
import { main } from '../../lib/bench/main';
import { toJson, writeReport } from '../../lib/bench/report';
import type { Measured } from '../../lib/bench/run';
import { recordedConsole } from '../helpers/console';

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'ibex-bench-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const benchmark = {
  name: 'race',
  title: 'A race',
  about: 'Who is first.',
  minutes: { full: 2, quick: 0.5 },
  run: () => Promise.reject(new Error('not run here')),
};

const good: Measured = {
  benchmark,
  outcome: {
    figures: {
      copyVsPgcopydb: { value: 0.51234, rounds: [0.5, 0.6] },
      catchUpSpeedup: { value: 14.9, rounds: [14.9] },
      stockLossPercent: { value: 40, rounds: [40] },
      lagP99Seconds: undefined,
    },
    charts: [
      {
        title: 'Time < 1 hour',
        unit: 's',
        series: [
          { way: 'a & b | c', values: [20, 10, 40] },
          { way: 'Ibex', values: [10, 10, 10] },
        ],
      },
      {
        title: 'Growth',
        unit: 's',
        size: 'GB',
        lines: [
          {
            way: 'Ibex',
            points: [
              { x: 1, values: [10] },
              { x: 2, values: [20, 21, 22] },
            ],
          },
          { way: 'peer', points: [{ x: 1, values: [40] }] },
        ],
      },
    ],
    notes: ['c was not measured: c is not installed.'],
    failures: [],
  },
  failures: [],
  minutes: 1.24,
};

const failed: Measured = {
  benchmark: { ...benchmark, name: 'fall', title: 'A fall' },
  outcome: undefined,
  failures: ['failed: it fell'],
  minutes: 0.1,
};

const conditions = { machine: 'a machine', tools: 'some tools', minutes: 12.3, quick: false };
const write = (measured: readonly Measured[] = [good]): string => {
  writeReport(directory, measured, conditions);
  return readFileSync(join(directory, 'benchmarks.md'), 'utf8');
};
const svg = (name: string): string => readFileSync(join(directory, 'benchmarks', name), 'utf8');

describe('the report of the benchmarks', () => {
  it('says machine, figures with rounds and goals, medians with their spread, and what is absent', () => {
    const text = write();
    expect(text).toContain('Machine: a machine.');
    expect(text).toContain('Servers and peers: some tools.');
    expect(text).toMatch(
      /\| `copyVsPgcopydb` +\| stream copy ÷ pgcopydb clone, time +\| 0\.512 \| 0\.5, 0\.6 +\| ≤ 0\.8: met +\|/,
    );
    expect(text).toMatch(/\| `catchUpSpeedup` .*\| 14\.9 .*\| ≥ 15: \*\*missed\*\* \|/);
    expect(text).toMatch(/\| `stockLossPercent` .*\| 40 +\| +\|/);
    expect(text).toMatch(/\| a & b \\\| c +\| 20 +\| 10 – 40 +\| 20, 10, 40 +\|/);
    expect(text).toMatch(/\| Ibex +\| 2 +\| 21 +\| 20 – 22 +\| 20, 21, 22 +\|/);
    expect(text).toContain('c was not measured: c is not installed.');
    expect(text).not.toContain('lagP99Seconds');
    expect(text).not.toContain('What failed');
  });

  it('says what failed, and keeps the rest', () => {
    const text = write([failed, good]);
    expect(text).toMatch(/## What failed\n\n- fall: failed: it fell\n/);
    expect(text).toContain('`copyVsPgcopydb`');
    expect(text).toMatch(/\| race +\| 2\.0 +\| 1\.2 +\|/);
  });

  it('has a plot for each chart, which says its values in words', () => {
    const text = write();
    const bars = svg('race-1.svg');
    expect(bars).toContain('<title id="title">Time &lt; 1 hour</title>');
    expect(bars).toContain('<desc id="text">Time &lt; 1 hour, s: a &amp; b | c 20; Ibex 10</desc>');
    const widths = [...bars.matchAll(/<rect class="\w+" x="190" .* width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(widths).toEqual([220, 110]);
    expect(bars).toContain('<line class="spread" x1="300.0" x2="630.0"');
    // From zero to 2 GB on 380 pixels, from zero to 40 s on 236.
    expect(svg('race-2.svg')).toContain('<polyline class="ours" points="250.0,221.0 440.0,156.1"/>');
    expect(svg('race-2.svg')).toContain('<circle class="peer0" cx="250.0" cy="44.0" r="3"/>');
    expect(svg('race-2.svg')).toMatch(/>Ibex: 21 s<[^]*>peer: 40 s at 1</);
    expect(text).toContain('![Growth, s by GB: Ibex 10 at 1 21 at 2; peer 40 at 1](benchmarks/race-2.svg)');
  });

  it('leaves no plot of an earlier run, and is formatted as everything here is', () => {
    mkdirSync(join(directory, 'benchmarks'));
    writeFileSync(join(directory, 'benchmarks', 'old.svg'), '');
    write([failed, good]);
    expect(existsSync(join(directory, 'benchmarks', 'old.svg'))).toBe(false);
    const prettier = join(ROOT, 'node_modules', '.bin', 'prettier');
    execFileSync(prettier, ['--config', join(ROOT, '.prettierrc.json'), '--check', join(directory, 'benchmarks.md')]);
  });
});

it('the figures for machines stand under their names, and each round beside them', () => {
  expect(JSON.parse(toJson([failed, good]))).toEqual({
    copyVsPgcopydb: 0.51234,
    catchUpSpeedup: 14.9,
    stockLossPercent: 40,
    rounds: { copyVsPgcopydb: [0.5, 0.6], catchUpSpeedup: [14.9], stockLossPercent: [40] },
  });
});

it('a benchmark that does not exist is a mistake in the command line', async () => {
  const { console, said } = recordedConsole();
  expect(await main(['--only', 'copy,speed'], console)).toBe(2);
  expect(said()).toMatch(/^bench: --only "speed" is no benchmark; choose of copy, /);
});
