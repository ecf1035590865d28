import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

const bundles = new Map<string, Uint8Array>();

/**
 * Bundles a program and what it imports into one CommonJS file. The same sources give the same bytes everywhere; a
 * process that makes several apps bundles each program once.
 */
export function bundle({ outFile, ...options }: BundleOptions): void {
  const key = JSON.stringify(options);
  const program = bundles.get(key) ?? build(options);
  bundles.set(key, program);
  writeFileSync(outFile, program);
}

function build({ entry, target, banner }: Omit<BundleOptions, 'outFile'>): Uint8Array {
  const { outputFiles } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    write: false,
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
  const [program] = outputFiles;
  if (!program) throw new Error(`esbuild made nothing of ${entry}`);
  return program.contents;
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
