import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Rows of the larger table of `TWO_TABLES`. */
export const ROWS = 10_000;

/** A table that fills a small volume, and one that has room beside it. */
export const TWO_TABLES = `
  CREATE TABLE large (id text PRIMARY KEY, n int, filler text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT md5(i::text), i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i;
  INSERT INTO other SELECT i, 'note' FROM generate_series(1, 1000) i;
  ANALYZE`;

/** Mounts a volume of memory in a new directory, which only root may. @param options of tmpfs, such as `size=12m` */
export function mountVolume(options: string): string {
  const volume = mkdtempSync(join(tmpdir(), 'ibex-volume-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', volume]);
  return volume;
}

/** Takes it away again, with its directory. */
export function removeVolume(volume: string): void {
  execFileSync('umount', ['--lazy', volume]);
  rmSync(volume, { recursive: true });
}
