import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';

/** Where programs are kept between rehearsals: for root a place that the servers' account can reach, too. */
export function cacheDirectory(): string {
  if (process.getuid?.() === 0) return '/var/cache/ibex';
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ibex');
}

/**
 * Path of an entry of the cache, made first if it is not there. `make` fills an empty directory; the entry appears
 * whole or not at all, and of two that make it at once one wins. Everybody may read the result.
 */
export async function cached(
  name: string,
  make: (directory: string) => void | Promise<void>,
  cache = cacheDirectory(),
): Promise<string> {
  const entry = join(cache, name);
  if (existsSync(entry)) return entry;
  mkdirSync(cache, { recursive: true, mode: 0o755 });
  const fresh = mkdtempSync(join(cache, '.new-'));
  try {
    await make(fresh);
    execFileSync('chmod', ['-R', 'a+rX', fresh]);
    chmodSync(fresh, 0o755);
    renameSync(fresh, entry);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(entry)) throw error;
  }
  return entry;
}

/** Whether every account of the machine can run the program: each directory above it lets others through. */
export function everybodyCanRun(program: string): boolean {
  if ((statSync(program).mode & 0o005) !== 0o005) return false;
  for (let path = dirname(program); ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/** The Node program that runs this, or a copy where the servers' account can reach it. */
export async function reachableNode(program = process.execPath, cache = cacheDirectory()): Promise<string> {
  if (process.getuid?.() !== 0 || everybodyCanRun(program)) return program;
  const entry = await cached(`node-${process.version}`, (directory) => cpSync(program, join(directory, 'node')), cache);
  return join(entry, 'node');
}
