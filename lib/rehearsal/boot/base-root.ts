import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, UsageError } from '../../../assets/agent/errors';
import { cached, cacheDirectory } from '../lab/cache';
import { system } from './programs';

/** What a machine needs to boot by itself and to run its user data; everything else is the bootstrap's to install. */
const PACKAGES = ['systemd-sysv', 'udev', 'dbus', 'cloud-init', 'ca-certificates'];

/** Programs of this machine that build and boot the other one, and Debian's packages that have them. */
const NEEDED: Readonly<Record<string, string>> = {
  '/usr/bin/mmdebstrap': 'mmdebstrap',
  '/usr/bin/systemd-nspawn': 'systemd-container',
  '/usr/sbin/losetup': 'mount',
  '/usr/bin/nsenter': 'util-linux',
  '/usr/bin/openssl': 'openssl',
  '/usr/bin/gpg': 'gpg',
  '/usr/bin/dpkg-deb': 'dpkg',
  '/usr/bin/zip': 'zip',
  '/usr/bin/xz': 'xz-utils',
};

/** Throws UsageError where machines cannot be built and booted. */
export function checkGround(): void {
  if (process.getuid?.() !== 0) throw new UsageError('a machine is built and booted by root; start this as root');
  const missing = Object.entries(NEEDED).flatMap(([program, name]) => (canRun(program) ? [] : [name]));
  if (missing.length > 0) throw new UsageError(`programs are missing: apt-get install ${missing.join(' ')}`);
}

function canRun(program: string): boolean {
  try {
    accessSync(program, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Debian 12 as small as it boots, with cloud-init as on Debian's images for EC2. Built once, then kept between runs.
 * Smaller than those images, so whatever the bootstrap forgets to install is missing here, too.
 */
export async function baseRoot(log: (line: string) => void): Promise<string> {
  const entry = await cached(`debian-12-${PACKAGES.join('-')}`, async (directory) => {
    log('building a Debian 12 root with mmdebstrap, once (about 50 s)');
    const root = join(directory, 'root.tar');
    try {
      await system('mmdebstrap', ['--variant=minbase', `--include=${PACKAGES.join(',')}`, '--quiet', 'bookworm', root]);
    } catch (error) {
      throw new Failure(
        `Debian 12 cannot be fetched: ${(error as Error).message}; mend apt's access to Debian's archive`,
      );
    }
  });
  return join(entry, 'root.tar');
}

/** Unpacks the base into a new directory. */
export async function unpackRoot(archive: string, directory: string): Promise<void> {
  mkdirSync(directory);
  await system('tar', ['--extract', '--numeric-owner', '--xattrs', '--file', archive, '--directory', directory]);
  // Every machine gets an identity of its own at its first boot.
  rmSync(join(directory, 'etc', 'machine-id'), { force: true });
  writeFileSync(join(directory, 'etc', 'machine-id'), '');
}

/** Packages that a machine of this name downloaded, kept between runs; apt checks each against the signed lists first. */
export function packageCache(machine: string): string {
  const directory = join(cacheDirectory(), `debian-12-packages-${machine}`);
  mkdirSync(join(directory, 'partial'), { recursive: true });
  return directory;
}
