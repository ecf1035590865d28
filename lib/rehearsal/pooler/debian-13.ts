import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, UsageError } from '../../../assets/agent/errors';
import { system } from '../boot/programs';
import { cached, cacheDirectory } from '../lab/cache';

/** What bootstrap.sh of the pooler installs, but for what speaks to AWS, which is answered here by a stand-in. */
const PACKAGES = ['ca-certificates', 'jq', 'openssl', 'pgbouncer', 'postgresql-client', 'stunnel4'];

/** Directory with a Debian 13 that has the pooler's packages: built once, in 45 s, and then kept. Never written to. */
export async function debian13(log: (line: string) => void, cache = cacheDirectory()): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new UsageError('a Debian 13 root is built and entered by root; start this as root');
  if (!existsSync('/usr/bin/mmdebstrap'))
    throw new UsageError('apt-get install mmdebstrap, which builds a Debian 13 root');
  const entry = await cached(
    `debian-13-${PACKAGES.join('-')}`,
    async (directory) => {
      log('building a Debian 13 root with PgBouncer by mmdebstrap, once (about 45 s)');
      const options = ['--variant=minbase', `--include=${PACKAGES.join(',')}`, '--quiet', '--format=directory'];
      try {
        await system('mmdebstrap', [...options, 'trixie', join(directory, 'root')]);
      } catch (error) {
        throw new Failure(
          `Debian 13 cannot be fetched: ${(error as Error).message}; mend apt's access to Debian's archive`,
        );
      }
    },
    cache,
  );
  return join(entry, 'root');
}
