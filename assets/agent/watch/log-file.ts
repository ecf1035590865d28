import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** New lines of the logs of the target, from the first asking on. */
export interface LogTail {
  /** Lines since the last asking; none at the first one. */
  next(): Promise<string[]>;
}

/** Longest part of a log that one look reads; bytes. A log that grows faster is full of errors either way. */
const MOST_BYTES = 4_000_000;

/** The log as a file of this machine. */
export function fileTail(file: string): LogTail {
  let offset: number | undefined;
  let rest = '';
  return {
    next: () => {
      const handle = openSync(file, 'r');
      try {
        const { size } = fstatSync(handle);
        // A file that became shorter was begun anew.
        const from = offset === undefined ? size : offset > size ? 0 : offset;
        const buffer = Buffer.alloc(Math.min(size - from, MOST_BYTES));
        const read = readSync(handle, buffer, 0, buffer.length, from);
        offset = from + read;
        const lines = (rest + buffer.toString('utf8', 0, read)).split('\n');
        rest = lines.pop() ?? '';
        return Promise.resolve(lines);
      } catch (error) {
        return Promise.reject(error as Error);
      } finally {
        closeSync(handle);
      }
    },
  };
}
