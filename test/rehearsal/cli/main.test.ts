import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../../lib/bundle';

describe('the command', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ibex-main-'));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  /** As `npm run rehearse` starts it; what it would start is in TMPDIR. */
  const start = (
    environment: Record<string, string>,
    ...args: string[]
  ): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [join(ROOT, 'bin', 'setup.mjs'), 'bin/rehearse.ts', ...args], {
      encoding: 'utf8',
      cwd: directory,
      env: { PATH: process.env['PATH'], TMPDIR: directory, ...environment },
    });

  /** tsx keeps what it compiled there. */
  const left = (where = directory): string[] => readdirSync(where).filter((name) => !name.startsWith('tsx-'));

  test('answers a mistake with one line and status 2, and starts nothing', () => {
    const { status, stdout, stderr } = start({}, '--source-version', '9');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toBe('rehearse: --source-version "9": must be a whole number from 10 to 17\n');
    expect(left()).toEqual([]);
  });

  test('does not touch an earlier report when the new command is a mistake', () => {
    writeFileSync(join(directory, 'report.json'), '{}');
    expect(start({}, '--report', '.', '--bogus').status).toBe(2);
    expect(left()).toEqual(['report.json']);
  });

  test('answers a failure with one line that says the way on and status 1, and leaves nothing', () => {
    const long = join(directory, 'a'.repeat(80));
    mkdirSync(long);
    const { status, stdout, stderr } = start({ TMPDIR: long });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^rehearse: .* is too long for Unix sockets .*; set TMPDIR to a shorter directory\n$/);
    expect(stdout).toMatch(/^prepare: started\n(.*\n)*prepare: FAILED after .*\n$/);
    expect(left(long)).toEqual([]);
  });

  test('shows the help on standard output with status 0', () => {
    const { status, stdout, stderr } = start({}, '--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Usage: npm run rehearse -- \[options\]\n/);
  });
});
