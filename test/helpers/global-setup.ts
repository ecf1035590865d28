import { DEBIAN_PACKAGES, debian, ensurePackages, withoutDefaultCluster } from '../../lib/rehearsal/lab/packages';

/** Beside the rehearsal's packages: what the tests look at shell scripts with, and the programs that some stand in with. */
const TOOLS = ['shellcheck', 'openssl', 'procps', 'iproute2'];

/** Installs once, before any test, what the tests need of Debian, so that one command is enough on a fresh machine. */
export default function globalSetup(): void {
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  ensurePackages(log, debian, withoutDefaultCluster, [...DEBIAN_PACKAGES, ...TOOLS]);
}
