import { join } from 'node:path';
import { oneLine } from '../../assets/agent/errors';
import { cached, cacheDirectory } from '../rehearsal/lab/cache';
import { fetchDebian13, wrapDebian13, type FetchDebian13 } from '../rehearsal/lab/client-tools';

const ENTRY = 'pgcopydb-debian-13';

/**
 * Directory with the pgcopydb of Debian 13, fetched once and brought with its own libraries: Debian 12's is years older,
 * and cannot compare data. Undefined, which is said, when it cannot be had; then the one that is installed has to do.
 */
export async function debian13Pgcopydb(
  log: (line: string) => void,
  cache = cacheDirectory(),
  fetch: FetchDebian13 = (root) => fetchDebian13(root, 'pgcopydb'),
): Promise<string | undefined> {
  const entry = join(cache, ENTRY);
  try {
    await cached(
      ENTRY,
      async (directory) => {
        log('fetching pgcopydb from Debian 13 (35 MB), once');
        await fetch(join(directory, 'root'));
        wrapDebian13(directory, join(entry, 'root'), ['usr/bin/pgcopydb']);
      },
      cache,
    );
  } catch (error) {
    log(`pgcopydb of Debian 13 cannot be had: ${oneLine(error)}; the one that is installed is measured`);
    return undefined;
  }
  return join(entry, 'bin');
}
