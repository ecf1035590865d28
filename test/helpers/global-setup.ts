import { DEBIAN_PACKAGES, debian, ensurePackages, withoutDefaultCluster } from '../../lib/rehearsal/lab/packages';
import { postgresPrograms } from '../../lib/rehearsal/lab/postgres-programs';
import { openTemplates } from './data-directory';

/** Beside the rehearsal's packages: what the tests look at shell scripts with, and the programs that some stand in with. */
const TOOLS = ['shellcheck', 'openssl', 'procps', 'iproute2'];

/** Installs once, before any test, what the tests need of Debian and npm, so that one command is enough on a fresh machine. */
export default async function globalSetup(): Promise<void> {
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  ensurePackages(log, debian, withoutDefaultCluster, [...DEBIAN_PACKAGES, ...TOOLS]);
  await Promise.all([10, 11, 17, 18].map((major) => postgresPrograms(major, log)));
  openTemplates();
}
