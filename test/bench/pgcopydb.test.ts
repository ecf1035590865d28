import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { debian13Pgcopydb } from '../../lib/bench/pgcopydb';

let cache: string;
beforeEach(() => (cache = mkdtempSync(join(tmpdir(), 'ibex-test-'))));
afterEach(() => rmSync(cache, { recursive: true }));

const said: string[] = [];
beforeEach(() => (said.length = 0));
const say = (line: string): void => void said.push(line);

it('is that of Debian 13, fetched once and started with its own libraries', async () => {
  const fetch = async (root: string): Promise<void> => {
    const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
    mkdirSync(libraries, { recursive: true });
    writeFileSync(join(libraries, 'ld-linux-x86-64.so.2'), '#!/bin/sh\nprintf "%s\\n" "$@"\n');
    chmodSync(join(libraries, 'ld-linux-x86-64.so.2'), 0o755);
  };
  const directory = (await debian13Pgcopydb(say, cache, fetch)) ?? '';
  expect(await debian13Pgcopydb(say, cache, () => Promise.reject(new Error('again')))).toBe(directory);
  expect(said).toEqual(['fetching pgcopydb from Debian 13 (35 MB), once']);
  const started = execFileSync(join(directory, 'pgcopydb'), ['compare', 'data'], { encoding: 'utf8' });
  expect(started.split('\n').slice(2, 5)).toEqual([
    join(cache, 'pgcopydb-debian-13/root/usr/bin/pgcopydb'),
    'compare',
    'data',
  ]);
});

it('is left to the one that is installed, which is said, where Debian 13 cannot be had', async () => {
  expect(await debian13Pgcopydb(say, cache, () => Promise.reject(new Error('no archive')))).toBeUndefined();
  expect(said.at(-1)).toBe('pgcopydb of Debian 13 cannot be had: no archive; the one that is installed is measured');
});
