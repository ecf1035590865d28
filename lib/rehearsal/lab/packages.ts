import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../../assets/agent/errors';

/** Debian's packages that the rehearsal's stand-in host is made of; libdbix-safe-perl and DBD::Pg come with bucardo. */
export const DEBIAN_PACKAGES = ['bucardo', 'postgresql-15', 'postgresql-client-15', 'postgresql-plperl-15'] as const;

/** Where Debian puts PostgreSQL 15: the host's own server, and the client tools. */
export const DEBIAN_POSTGRES = '/usr/lib/postgresql/15/bin';

/** What the decision rests on and what carries it out; injected by tests. */
export interface PackageSystem {
  /** Names of those packages that dpkg has installed. */
  installed(names: readonly string[]): string[];
  /** ID and VERSION_ID of /etc/os-release. */
  system(): { readonly id: string; readonly version: string };
  isRoot(): boolean;
  /** Runs apt-get; throws an Error that has its standard error. */
  aptGet(args: readonly string[]): void;
}

const DIRECTORY = '/etc/postgresql-common/createcluster.d';

/** The machine's own dpkg and apt-get. */
export const debian: PackageSystem = {
  installed: (names) => {
    try {
      const format = ['-W', '-f', '${db:Status-Status} ${Package}\\n', ...names];
      const output = execFileSync('dpkg-query', format, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      return installedOf(output);
    } catch (error) {
      // Status 1 says that a package is unknown; those that are known are still listed.
      return installedOf((error as { stdout?: string }).stdout ?? '');
    }
  },
  system: () => {
    const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
    const value = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(text)?.[1] ?? '';
    return { id: value('ID'), version: value('VERSION_ID') };
  },
  isRoot: () => process.getuid?.() === 0,
  aptGet: (args) => {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', args, { env: environment, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  },
};

const installedOf = (output: string): string[] =>
  output.split('\n').flatMap((line) => (line.startsWith('installed ') ? [line.slice('installed '.length)] : []));

/** Debian's package makes and starts a server on port 5432 when it is installed; nobody asked for that one. */
export function withoutDefaultCluster(install: () => void): void {
  const file = join(DIRECTORY, 'ibex-rehearsal.conf');
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(file, 'create_main_cluster = false\n');
  try {
    install();
  } finally {
    rmSync(file, { force: true });
  }
}

/**
 * Installs what is missing of Debian's packages, saying what before it does so. Throws Failure with one line that says
 * what to install where it may not, or where apt-get fails.
 *
 * @param names what is needed; the tests need more than a rehearsal
 */
export function ensurePackages(
  log: (line: string) => void,
  system: PackageSystem = debian,
  guard = withoutDefaultCluster,
  names: readonly string[] = DEBIAN_PACKAGES,
): void {
  const present = new Set(system.installed(names));
  const missing = names.filter((name) => !present.has(name));
  if (missing.length === 0) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  const { id, version } = system.system();
  if (id !== 'debian' || version !== '12') {
    throw new Failure(
      `missing ${missing.join(', ')}: the rehearsal needs them as Debian 12 packages them, and this is ${`${id} ${version}`.trim() || 'an unknown system'}; run it on Debian 12`,
    );
  }
  if (!system.isRoot()) throw new Failure(`missing ${missing.join(', ')}; as root, run: ${command}`);
  log(`installing from Debian: ${missing.join(', ')} (and what they depend on)`);
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing];
  guard(() => {
    try {
      system.aptGet(['update', '-q']);
      system.aptGet(install);
    } catch (error) {
      throw new Failure(`apt-get could not install ${missing.join(', ')}: ${aptCause(error)}; run: ${command}`);
    }
  });
}

function aptCause(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr ?? message).split('\n').find((line) => line.startsWith('E: ')) ?? message.split('\n')[0] ?? 'unknown';
}
