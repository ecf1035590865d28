import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../../../assets/agent/errors';
import { cached, cacheDirectory } from './cache';
import { DEBIAN_POSTGRES } from './packages';

const execute = promisify(execFile);

/** Newest server that Debian 12's own client tools can dump. */
const DEBIAN_12_TOOLS = 15;
/** Debian 13 has the tools of this major. */
const DEBIAN_13_TOOLS = 17;
const PACKAGE = `postgresql-client-${DEBIAN_13_TOOLS}`;
const PROGRAMS = ['pg_dump', 'pg_restore', 'psql'].map((name) => `usr/lib/postgresql/${DEBIAN_13_TOOLS}/bin/${name}`);
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Unpacks a package of Debian 13, and what it needs, into a directory; injected by tests. */
export type FetchDebian13 = (root: string) => Promise<void>;

/**
 * Directory with pg_dump, pg_restore and psql that can read a source of this major version: Debian 12's own up to 15; for
 * later ones those of Debian 13, which are fetched (said in the log first) and brought with their own libraries, so that
 * nothing of the machine changes. Throws Failure when they cannot be had.
 */
export async function clientTools(
  version: number,
  log: (line: string) => void,
  cache = cacheDirectory(),
  fetch: FetchDebian13 = (root) => fetchDebian13(root, PACKAGE),
): Promise<string> {
  if (version <= DEBIAN_12_TOOLS) return DEBIAN_POSTGRES;
  const entry = join(cache, `client-tools-${DEBIAN_13_TOOLS}`);
  await cached(
    `client-tools-${DEBIAN_13_TOOLS}`,
    async (directory) => {
      log(
        `fetching PostgreSQL ${DEBIAN_13_TOOLS}'s client tools from Debian 13 (35 MB), since Debian 12's cannot read ${version}`,
      );
      try {
        await fetch(join(directory, 'root'));
      } catch (error) {
        const { stderr, message } = error as { stderr?: string; message: string };
        const cause = (stderr || message).split('\n').find((line) => line.startsWith('E: ')) ?? message.split('\n')[0];
        throw new Failure(
          `PostgreSQL ${DEBIAN_13_TOOLS}'s client tools cannot be fetched: ${cause}; mend apt's access to Debian's archive, or rehearse with a --source-version up to ${DEBIAN_12_TOOLS}`,
        );
      }
      wrapDebian13(directory, join(entry, 'root'), PROGRAMS);
    },
    cache,
  );
  return join(entry, 'bin');
}

/**
 * Makes, in `bin` of a directory, small programs that start fetched ones with the C library and loader that they were
 * built for.
 *
 * @param root where the packages are, or will be
 * @param programs paths under it
 */
export function wrapDebian13(directory: string, root: string, programs: readonly string[]): void {
  mkdirSync(join(directory, 'bin'));
  const libraries = `${root}/usr/lib/x86_64-linux-gnu`;
  for (const program of programs) {
    const file = join(directory, 'bin', basename(program));
    writeFileSync(
      file,
      `#!/bin/sh\nexec '${libraries}/ld-linux-x86-64.so.2' --library-path '${libraries}' '${root}/${program}' "$@"\n`,
    );
    chmodSync(file, 0o755);
  }
}

/** With an apt of its own, which knows no installed package and so brings the C library, too. */
export async function fetchDebian13(root: string, name: string): Promise<void> {
  if (!existsSync(KEYRING)) throw new Failure(`${KEYRING} is missing; install debian-archive-keyring`);
  const work = mkdtempSync(join(tmpdir(), '.ibex-apt-'));
  try {
    for (const path of ['lists/partial', 'cache/archives/partial', 'empty'])
      mkdirSync(join(work, path), { recursive: true });
    writeFileSync(join(work, 'status'), '');
    writeFileSync(join(work, 'sources.list'), `deb [signed-by=${KEYRING}] ${await archive()} trixie main\n`);
    const settings: Record<string, string> = {
      'Dir::State': work,
      'Dir::State::status': join(work, 'status'),
      'Dir::State::lists': join(work, 'lists'),
      'Dir::Cache': join(work, 'cache'),
      'Dir::Etc::sourcelist': join(work, 'sources.list'),
      'Dir::Etc::sourceparts': join(work, 'empty'),
      'Dir::Etc::preferencesparts': join(work, 'empty'),
      'APT::Architecture': 'amd64',
      'APT::Install-Recommends': 'false',
      'APT::Sandbox::User': 'root',
    };
    const configuration = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
    writeFileSync(join(work, 'apt.conf'), configuration.join(''));
    const options = {
      env: { ...process.env, APT_CONFIG: join(work, 'apt.conf'), LC_ALL: 'C.UTF-8' },
      maxBuffer: 1 << 26,
    };
    await execute('apt-get', ['update', '-q'], options);
    await execute('apt-get', ['install', '-q', '-y', '--download-only', name], options);
    const archives = join(work, 'cache', 'archives');
    for (const name of readdirSync(archives).filter((file) => file.endsWith('.deb'))) {
      await execute('dpkg-deb', ['--extract', join(archives, name), root]);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The mirror of Debian's archive that this machine uses. */
async function archive(): Promise<string> {
  const { stdout } = await execute('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN) $(CODENAME) $(REPO_URI)',
    'Created-By: Packages',
  ]);
  const uri = /^Debian bookworm (\S+)$/m.exec(stdout)?.[1];
  if (!uri) throw new Failure("apt knows no mirror of Debian's archive for bookworm");
  return uri;
}
