import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../lab/cache';
import { system } from './programs';

/** A release of Node.js as nodejs.org offers it: this machine's own program under the same names. */
export interface NodeRelease {
  readonly file: string;
  readonly sha256: string;
}

/** Makes the release, once for each version of Node. */
export async function nodeRelease(): Promise<NodeRelease> {
  const name = `node-${process.version}-linux-x64`;
  const entry = await cached(`${name}.release`, async (directory) => {
    mkdirSync(join(directory, name, 'bin'), { recursive: true });
    copyFileSync(process.execPath, join(directory, name, 'bin', 'node'));
    const archive = join(directory, `${name}.tar.xz`);
    await system('tar', ['--create', '--xz', '--file', archive, '--directory', directory, name], {
      environment: { XZ_OPT: '-1 -T0' },
    });
    rmSync(join(directory, name), { recursive: true });
  });
  const file = join(entry, `${name}.tar.xz`);
  return { file, sha256: createHash('sha256').update(readFileSync(file)).digest('hex') };
}
