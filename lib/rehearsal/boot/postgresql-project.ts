import { dirname } from 'node:path';
import { clientTools } from '../lab/client-tools';
import { postgresPrograms } from '../lab/postgres-programs';
import type { Package } from './deb';

/** Version of everything in these repositories that must never be taken from them. */
export const DECOY_VERSION = '999';

/** Packages that both repositories offer beside what is wanted, newer than Debian's, as the real ones do. */
const DECOYS: readonly Package[] = ['postgresql-common', 'postgresql-client-common', 'bucardo', 'curl', 'xfsprogs'].map(
  (name) => ({ name, version: DECOY_VERSION }),
);

/** The client library in the version of the PostgreSQL project; what is in it is this machine's own, Debian's. */
export const LIBPQ_VERSION = '17.9-1.pgdg12+1';

/**
 * Stand-in for apt.postgresql.org: the client tools of a major, which are Debian 13's with their own C library.
 *
 * @param major 17
 */
export async function currentPackages(major: number, log: (line: string) => void): Promise<Package[]> {
  const tools = await clientTools(major, log);
  const entry = dirname(tools);
  const libraries = '/usr/lib/x86_64-linux-gnu';
  return [
    {
      name: `postgresql-client-${major}`,
      version: `${major}.9-1.pgdg12+1`,
      depends: 'libpq5 (>= 17~), postgresql-client-common (>= 182~)',
      // They are started by scripts that name the place in which they were made.
      copies: { [`/usr/lib/postgresql/${major}/bin`]: tools, [entry]: entry },
    },
    {
      name: 'libpq5',
      version: LIBPQ_VERSION,
      depends: 'libc6, libgssapi-krb5-2, libldap-2.5-0, libssl3',
      copies: Object.fromEntries(
        ['libpq.so.5', 'libpq.so.5.15'].map((name) => [`${libraries}/${name}`, `${libraries}/${name}`]),
      ),
    },
    ...DECOYS,
  ];
}

/** Stand-in for apt-archive.postgresql.org: the server of a major, from npm's binaries, and a plperl that is empty. */
export async function archivedPackages(major: number, log: (line: string) => void): Promise<Package[]> {
  const version = `${major}.22-1.pgdg12+1`;
  const programs = dirname(await postgresPrograms(major, log));
  return [
    {
      name: `postgresql-${major}`,
      version,
      depends: `postgresql-client-${major}, postgresql-common (>= 182~)`,
      copies: { [`/usr/lib/postgresql/${major}`]: programs },
    },
    { name: `postgresql-client-${major}`, version, depends: 'libpq5, postgresql-client-common (>= 182~)' },
    { name: `postgresql-plperl-${major}`, version, depends: `postgresql-${major}, perl` },
    ...DECOYS,
  ];
}
