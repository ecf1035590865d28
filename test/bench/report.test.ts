import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../lib/bundle';
import { main } from '../../lib/bench/main';
import { writeReport } from '../../lib/bench/report';
import { recordedConsole } from '../helpers/console';

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'ibex-bench-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const measured = [
  {
    benchmark: {
      name: 'race',
      title: 'A race',
      about: 'Who is first.',
      run: () => Promise.reject(new Error('not run here')),
    },
    outcome: {
      figures: { copyVsPgcopydb: 0.51234 },
      charts: [
        {
          title: 'Time < 1 hour',
          unit: 's',
          series: [
            { way: 'a & b', values: [20, 10, 40] },
            { way: 'Ibex', values: [10, 10, 10] },
          ],
        },
      ],
      notes: ['c was not measured: c is not installed.'],
    },
  },
];

describe('the report of the benchmarks', () => {
  it('says machine, figures with their goals, medians with their spread, and what is absent', () => {
    writeReport(directory, measured, 'a machine', 12.3);
    const text = readFileSync(join(directory, 'benchmarks.md'), 'utf8');
    expect(text).toContain('Machine: a machine.');
    expect(text).toMatch(/\| `copyVsPgcopydb` \| stream copy ÷ pgcopydb clone, time \| 0\.512 \| ≤ 0\.8 +\|/);
    expect(text).toMatch(/\| a & b +\| 20 +\| 10 – 40 +\| 20, 10, 40 +\|/);
    expect(text).toContain('c was not measured: c is not installed.');
    expect(text).not.toContain('catchUpSpeedup');
  });

  it('has a plot for each chart: bars from zero, a line from least to most', () => {
    writeReport(directory, measured, 'a machine', 1);
    const svg = readFileSync(join(directory, 'benchmarks', 'race-1.svg'), 'utf8');
    expect(svg).toContain('Time &lt; 1 hour');
    expect(svg).toContain('a &amp; b');
    const widths = [...svg.matchAll(/<rect x="190" .* width="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(widths).toEqual([230, 115]);
    expect(svg).toContain('<line x1="305.0" x2="650.0"');
  });

  it('leaves no plot of an earlier run, and is formatted as everything here is', () => {
    mkdirSync(join(directory, 'benchmarks'));
    writeFileSync(join(directory, 'benchmarks', 'old.svg'), '');
    writeReport(directory, measured, 'a machine', 1);
    expect(existsSync(join(directory, 'benchmarks', 'old.svg'))).toBe(false);
    const prettier = join(ROOT, 'node_modules', '.bin', 'prettier');
    execFileSync(prettier, ['--config', join(ROOT, '.prettierrc.json'), '--check', join(directory, 'benchmarks.md')]);
  });
});

it('a benchmark that does not exist is a mistake in the command line', async () => {
  const { console, said } = recordedConsole();
  expect(await main(['--only', 'copy,speed'], console)).toBe(2);
  expect(said()).toMatch(/^bench: --only "speed" is no benchmark; choose of copy, /);
});
