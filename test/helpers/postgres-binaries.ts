import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * The directory of `initdb` and `postgres` of a major version. Debian has 15; the others come from npm, whose packages
 * leave out their symbolic links and may lie where user `postgres` cannot read, so they are copied to a cache once.
 */
export function postgresBinaries(version: number): string {
  if (version === 15) return existing('/usr/lib/postgresql/15/bin', 'install the Debian package postgresql-15');
  const source = path.join(__dirname, '../../node_modules', `postgres-${version}`, 'native');
  const release = JSON.parse(fs.readFileSync(path.join(source, '..', 'package.json'), 'utf8')).version as string;
  const cache = path.join(os.tmpdir(), `ibex-postgres-cache-${process.getuid?.() ?? 0}`, release);
  if (!fs.existsSync(cache)) copyOnce(source, cache);
  return existing(path.join(cache, 'bin'), `remove ${cache}, and run npm ci`);
}

/** Copies beside the final name and renames, so that test files that start together never see half a copy. */
function copyOnce(source: string, cache: string): void {
  fs.mkdirSync(path.dirname(cache), { recursive: true });
  fs.chmodSync(path.dirname(cache), 0o755);
  const partial = fs.mkdtempSync(`${cache}.partial-`);
  fs.cpSync(source, partial, { recursive: true });
  hydrateLinks(partial);
  fs.chmodSync(partial, 0o755);
  try {
    fs.renameSync(partial, cache);
  } catch (error) {
    fs.rmSync(partial, { recursive: true, force: true });
    if (!fs.existsSync(cache)) throw error;
  }
}

function hydrateLinks(root: string): void {
  const list = path.join(root, 'pg-symlinks.json');
  if (!fs.existsSync(list)) return;
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = path.join(root, path.relative('native', target));
    if (!fs.existsSync(link)) fs.symlinkSync(path.relative(path.dirname(target), source), link);
  }
}

function existing(directory: string, cure: string): string {
  if (!fs.existsSync(path.join(directory, 'postgres'))) {
    throw new Error(`${directory} holds no PostgreSQL server: ${cure}.`);
  }
  return directory;
}
