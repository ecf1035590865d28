import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleAgent } from '../../../lib/agent-bundle';
import { CopyTest } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

const ROWS = 40_000;

let copy: CopyTest;
let program: string;
let configuration: string;

beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare(`
    CREATE TABLE large (id uuid PRIMARY KEY, n int, filler text);
    INSERT INTO large SELECT md5(i::text)::uuid, i, repeat('f', 100) FROM generate_series(1, ${ROWS}) i; ANALYZE`);
  await copy.within('capture', async (context) => {
    await context.state.phaseStarted('capture');
    await context.state.phaseEnded('capture', 'succeeded', 'in this test');
  });
  const { config } = copy.migration;
  program = join(config.host.stateDirectory, 'ibex.cjs');
  bundleAgent(program);
  configuration = join(config.host.stateDirectory, 'ibex.json');
  const shared = { ...config.copy, processes: 3, jobs: 1, chunkMegabytes: 0.1, maxBytesPerSecond: 1_500_000 };
  writeFileSync(configuration, JSON.stringify({ ...config, copy: shared }));
});
afterAll(() => copy.migration.stop());

const start = (): ChildProcess =>
  spawn(process.execPath, [program, 'copy'], {
    env: { PATH: process.env['PATH'] ?? '', IBEX_CONFIG: configuration },
    stdio: ['ignore', 'pipe', 'inherit'],
  });

/** Processes of this program, by the command that they run. */
const running = (command: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.includes(program) && words.includes(command);
      } catch {
        return false;
      }
    })
    .map(Number);

it('three processes share a copy; killed with SIGKILL, all are gone, and what they copied is kept', async () => {
  const first = start();
  const ended = new Promise((resolve) => first.once('close', resolve));
  await until(async () => running('copy-worker').length === 2 && (await copy.chunks()) > 5);
  first.kill('SIGKILL');
  await ended;
  await until(() => running('copy-worker').length === 0);
  const before = await copy.chunks();
  expect(before).toBeGreaterThan(5);

  const second = start();
  let said = '';
  second.stdout?.on('data', (text: Buffer) => (said += text.toString()));
  await until(async () => running('copy-worker').length === 2 && (await copy.chunks()) > before);
  process.kill(running('copy-worker')[0] as number, 'SIGKILL');
  expect(await new Promise((resolve) => second.once('close', resolve))).toBe(0);
  expect(said).toBe(`copy: ${ROWS} rows of 1 tables copied, 1 indexes built\n`);
  const { rows } = await copy.target.query(`SELECT count(*)::int AS n, count(DISTINCT id)::int AS keys FROM large`);
  expect(rows).toEqual([{ n: ROWS, keys: ROWS }]);
  const context = await copy.migration.context('copy');
  expect(await context.state.counters()).toEqual({ 'rows.copy': ROWS });
});
