import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { system } from './programs';

/** A Debian package to be made. */
export interface Package {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  /** Text by path, with the mode of what begins with `#!` set so that it can be run. */
  readonly files?: Readonly<Record<string, string>>;
  /** Directories and files of this machine, by the path that they get. */
  readonly copies?: Readonly<Record<string, string>>;
}

/** Its control file, without what only an index says. */
export const controlOf = ({ name, version, depends }: Package): string =>
  [
    `Package: ${name}`,
    `Version: ${version}`,
    'Architecture: amd64',
    'Maintainer: Ibex tests <ibex@example.org>',
    ...(depends === undefined ? [] : [`Depends: ${depends}`]),
    'Description: stand-in of a test',
  ].join('\n');

/** Builds the package. @param file path of the .deb */
export async function buildPackage(spec: Package, file: string): Promise<void> {
  const tree = mkdtempSync(join(tmpdir(), '.ibex-deb-'));
  try {
    const put = (path: string, text: string): void => {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
    };
    put('DEBIAN/control', `${controlOf(spec)}\n`);
    for (const [path, text] of Object.entries(spec.files ?? {})) put(path, text);
    for (const [path, from] of Object.entries(spec.copies ?? {})) {
      cpSync(from, join(tree, path), { recursive: true, verbatimSymlinks: true });
    }
    mkdirSync(dirname(file), { recursive: true });
    await system('chmod', ['-R', 'u+rwX,go+rX', tree]);
    await system('dpkg-deb', ['--root-owner-group', '-Znone', '--build', tree, file]);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
