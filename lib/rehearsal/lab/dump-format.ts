import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../../assets/agent/errors';

/** What a dump is, by its content, whatever its name. */
export type DumpFormat =
  | { readonly kind: 'plain' }
  /** @property version the archive's own, as `major.minor`; tells which pg_restore can read it */
  | { readonly kind: 'custom' | 'tar' | 'directory'; readonly version: string };

const HEAD_BYTES = 64 * 1024;
const TAR_BLOCK = 512;

/** Finds out what a dump is. Throws UsageError with one line for what cannot be read, is empty, or is no dump. */
export function detectDump(path: string): DumpFormat {
  if (isDirectory(path)) {
    const contents = join(path, 'toc.dat');
    if (existsSync(contents)) return { kind: 'directory', version: archiveVersion(head(contents)) };
    throw new UsageError(
      `dump ${path} is a directory without toc.dat; give what pg_dump --format=directory wrote, or a file`,
    );
  }
  const start = head(path);
  if (start.length === 0) throw new UsageError(`dump ${path} is empty; make it again with pg_dump`);
  if (start.toString('latin1', 0, 5) === 'PGDMP') return { kind: 'custom', version: archiveVersion(start) };
  if (start.toString('latin1', 0, 7) === 'toc.dat')
    return { kind: 'tar', version: archiveVersion(start.subarray(TAR_BLOCK)) };
  const compression = compressedBy(start);
  if (compression) throw new UsageError(`dump ${path} is compressed (${compression}); decompress it first`);
  if (start.includes(0) || !/^\s*(--|\/\*|\\|[a-z]+\b)/i.test(start.toString('utf8'))) {
    throw new UsageError(`dump ${path} is neither SQL text nor an archive of pg_dump; make one with pg_dump`);
  }
  return { kind: 'plain' };
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function head(path: string): Buffer {
  try {
    const file = openSync(path, 'r');
    try {
      const buffer = Buffer.alloc(HEAD_BYTES);
      return buffer.subarray(0, readSync(file, buffer, 0, HEAD_BYTES, 0));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): UsageError {
  const { code } = error as NodeJS.ErrnoException;
  const cause = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
  return new UsageError(`dump ${path} ${cause}; give the path of a dump that pg_dump wrote`);
}

/** The bytes behind PGDMP in an archive's header. */
const archiveVersion = (header: Buffer): string => `${header[5]}.${header[6]}`;

function compressedBy(start: Buffer): string | undefined {
  const magic = start.toString('hex', 0, 4);
  if (magic.startsWith('1f8b')) return 'gzip';
  return { '28b52ffd': 'zstd', '04224d18': 'lz4', fd377a58: 'xz', '504b0304': 'zip' }[magic];
}
