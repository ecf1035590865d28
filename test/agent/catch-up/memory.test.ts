import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bundle } from '../../../lib/bundle';
import { startMoving, type Moving } from './moving';

/** How much more memory three times the keys may take, which is the garbage collector's mood; MB. */
const MARGIN = 25;

const directory = mkdtempSync(join(tmpdir(), 'ibex-memory-'));
const program = join(directory, 'memory-program.js');
let moving: Moving;
beforeAll(async () => {
  await bundle({ entry: 'test/agent/catch-up/memory-program.ts', outFile: program, target: 'node20' });
  moving = await startMoving('CREATE TABLE public.item (id int PRIMARY KEY, note text)', 'SELECT 1');
});
afterAll(async () => {
  await moving.migration.stop();
  rmSync(directory, { recursive: true });
});

/** Has a process of its own apply so many keys, and returns the most memory that it had; MB. */
async function memoryFor(keys: number): Promise<number> {
  await moving.source.query(`INSERT INTO item SELECT ${keys} + i, repeat('n', 300) FROM generate_series(1, ${keys}) i`);
  const { stdout } = await promisify(execFile)(process.execPath, [program], {
    env: {
      ...process.env,
      IBEX_TEST: JSON.stringify({ config: moving.migration.config, generation: moving.lease.generation }),
    },
  });
  const told = JSON.parse(stdout.slice(stdout.indexOf('{"keys"'))) as { keys: number; megabytes: number };
  expect(told.keys).toBe(keys);
  return told.megabytes;
}

it('catch-up of 300,000 keys takes no more memory than that of 100,000', async () => {
  const few = await memoryFor(100_000);
  const many = await memoryFor(300_000);
  expect(many - few).toBeLessThan(MARGIN);
});
