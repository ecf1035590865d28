import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Puts a file in its place, or another text in the place of its own: whole or not at all, also when the power is lost. What
 * it says stays so from the return on.
 */
export function putFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  synced(openSync(fresh, 'w'), (file) => writeFileSync(file, text));
  moveFile(fresh, path);
}

/** Gives a file another name in its directory, which it keeps from the return on. */
export function moveFile(from: string, to: string): void {
  renameSync(from, to);
  keepNames(to);
}

/** Removes a file, if it is there; it stays away from the return on. */
export function removeFile(path: string): void {
  if (!existsSync(path)) return;
  rmSync(path, { force: true });
  keepNames(path);
}

/** Has what was renamed or removed beside this path stay so. */
const keepNames = (path: string): void => synced(openSync(dirname(path), 'r'));

function synced(file: number, work?: (file: number) => void): void {
  try {
    work?.(file);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
