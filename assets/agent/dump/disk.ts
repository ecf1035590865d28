import { statfs } from 'node:fs/promises';
import type { Relation } from '../catalog/relations';
import { methodOf, type Compression } from './compression';

/** Free bytes of the file system that holds a path. */
export type FreeBytes = (path: string) => Promise<number>;

export const freeBytes: FreeBytes = async (path) => {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
};

/** Part of a table's size that its dump takes: text is longer than the row, and all but lz4 rarely save less than half. */
const SHARES = { none: 1.3, gzip: 0.5, lz4: 0.8, zstd: 0.5 };

/** Room for the table of contents and for what is written beside the dump; bytes. */
const MARGIN = 64 << 20;

/** What a dump of these tables will take at most, as far as can be told beforehand; bytes. */
export function dumpBytes(relations: readonly Relation[], compression: Compression): number {
  const bytes = relations.reduce((sum, relation) => sum + relation.bytes, 0);
  return Math.ceil(bytes * SHARES[methodOf(compression)]) + MARGIN;
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** A size for people: `1.5 GB`. */
export function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 2 ** (10 * power);
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}
