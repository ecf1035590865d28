import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';

/** The repository's root, wherever the command was started. */
export const ROOT = dirname(__dirname);

export interface BundleOptions {
  /** First file, relative to the repository. */
  readonly entry: string;
  readonly outFile: string;
  /** Node.js that runs it, as esbuild names it. */
  readonly target: string;
  /** Text of the first line. @default none */
  readonly banner?: string;
}

/** Bundles a program and what it imports into one CommonJS file. The same sources give the same bytes everywhere. */
export function bundle({ entry, outFile, target, banner }: BundleOptions): void {
  buildSync({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: outFile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target,
    legalComments: 'none',
    logLevel: 'warning',
    ...(banner !== undefined && { banner: { js: banner } }),
    // A faster driver in C that is not installed here; pg asks for it only when told to.
    external: ['pg-native'],
  });
}

/**
 * Runs work with an empty directory under `.build`, which is gone afterwards; several processes can do so at once. An
 * asset is copied while its construct is made, so nothing needs the directory for longer.
 */
export function withBuildDirectory<T>(name: string, work: (directory: string) => T): T {
  const parent = join(ROOT, '.build');
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, `${name}-`));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
