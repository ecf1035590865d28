import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildPackage, controlOf, type Package } from './deb';
import { system } from './programs';

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** A signing key of one run. */
export class SigningKey {
  private constructor(private readonly home: string) {}

  /** @param home gets GnuPG's files, a socket among them: its path must be short */
  static async create(home: string): Promise<SigningKey> {
    mkdirSync(home, { mode: 0o700 });
    const key = new SigningKey(home);
    await key.gpg('--quick-generate-key', 'Ibex test repository', 'ed25519', 'sign', '2d');
    return key;
  }

  /** The public key, as apt takes it. */
  async publicKey(): Promise<string> {
    return this.gpg('--armor', '--export');
  }

  /** Text with a signature around it. */
  async sign(file: string): Promise<string> {
    return this.gpg('--clearsign', '--output', '-', file);
  }

  /** Ends GnuPG's agent; nothing is signed afterwards. */
  async close(): Promise<void> {
    await system('gpgconf', ['--homedir', this.home, '--kill', 'all']);
  }

  private gpg(...args: string[]): Promise<string> {
    return system('gpg', ['--homedir', this.home, '--batch', '--quiet', '--passphrase', '', ...args]);
  }
}

/**
 * Makes an apt repository: packages, index, and a release file with a signature.
 *
 * @param directory gets `dists` and `pool`
 * @param suite name of the distribution
 */
export async function makeRepository(
  directory: string,
  suite: string,
  packages: readonly Package[],
  key: SigningKey,
): Promise<void> {
  const entries: string[] = [];
  for (const spec of packages) {
    const path = `pool/${spec.name}_${spec.version}_amd64.deb`;
    await buildPackage(spec, join(directory, path));
    const content = readFileSync(join(directory, path));
    entries.push(`${controlOf(spec)}\nFilename: ${path}\nSize: ${content.length}\nSHA256: ${sha256(content)}\n`);
  }
  const index = Buffer.from(entries.join('\n'));
  const dist = join(directory, 'dists', suite);
  mkdirSync(join(dist, 'main', 'binary-amd64'), { recursive: true });
  writeFileSync(join(dist, 'main', 'binary-amd64', 'Packages'), index);
  writeFileSync(join(dist, 'Release'), releaseFile(suite, { 'main/binary-amd64/Packages': index }, new Date()));
  writeFileSync(join(dist, 'InRelease'), await key.sign(join(dist, 'Release')));
}

/** What apt checks every index against. */
export function releaseFile(suite: string, indexes: Readonly<Record<string, Uint8Array>>, date: Date): string {
  const sums = Object.entries(indexes).map(([path, content]) => ` ${sha256(content)} ${content.length} ${path}`);
  return [
    'Origin: apt.postgresql.org',
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    `Date: ${date.toUTCString()}`,
    'Architectures: amd64',
    'Components: main',
    'SHA256:',
    ...sums,
    '',
  ].join('\n');
}
