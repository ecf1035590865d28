import fs from 'node:fs';
import path from 'node:path';
import { cacheDirectory } from '../../lib/rehearsal/lab/cache';
import { POSTGRES_PACKAGES } from '../../lib/rehearsal/lab/postgres-programs';

/**
 * The directory of `initdb` and `postgres` of a major version: Debian's own 15, the others in the cache that rehearsals
 * use too, which the set-up of the tests has filled.
 */
export function postgresBinaries(version: number): string {
  if (version === 15) return existing('/usr/lib/postgresql/15/bin', 'install the Debian package postgresql-15');
  const entry = path.join(cacheDirectory(), `postgres-${POSTGRES_PACKAGES[version]}`);
  return existing(path.join(entry, 'bin'), `remove ${entry}, and run npm test`);
}

function existing(directory: string, cure: string): string {
  if (!fs.existsSync(path.join(directory, 'postgres'))) {
    throw new Error(`${directory} holds no PostgreSQL server: ${cure}.`);
  }
  return directory;
}
