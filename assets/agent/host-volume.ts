import { closeSync, ftruncateSync, openSync, statfsSync, statSync, writeSync } from 'node:fs';
import type { HostConfig } from './config';
import { Failure, oneLine } from './errors';

/** What is left on a volume that the host's PostgreSQL cannot work on: it stops where its log gets no next segment; bytes. */
const SEGMENT_BYTES = 16 << 20;

/** Codes of a disk that is full, and of a server that stopped, or does not start, for the want of room. */
const FOR_WANT_OF_ROOM = /^(53100|57P0\d|58\w{3}|08\w{3}|ENOSPC|EDQUOT|EPIPE|ECONN\w+)$/;

/** The host's PostgreSQL has let us down, so that no work goes on; tells the way on. What was kept before stays kept. */
export class HostLost extends Failure {}

/** The host has no room for our state; it tells what is full. */
export class HostFull extends HostLost {}

/**
 * What went wrong on the host, in words of a volume that is full where that is the cause; else the error itself.
 *
 * @param error of the host's PostgreSQL, or of a file in the state directory
 */
export function explainHost(host: HostConfig, error: unknown): unknown {
  if (error instanceof HostFull) return error;
  const { code } = error as { code?: string };
  // A session that the server has ended says so without a code, and so does a Failure to connect.
  if (code !== undefined && !FOR_WANT_OF_ROOM.test(code)) return error;
  const isOurs = code === 'ENOSPC' || freeBytes(host.stateDirectory) < SEGMENT_BYTES;
  if (!isOurs && code !== '53100') return error;
  const { postgres } = host;
  const volume = isOurs ? `of ${host.stateDirectory}` : `of the host's PostgreSQL at ${postgres.host}:${postgres.port}`;
  return new HostFull(
    `the volume ${volume} is full: ${oneLine(error)}; what was done is kept; make room there or enlarge it, see that the host's PostgreSQL runs, then start again, it resumes`,
    { cause: error },
  );
}

/** Infinity where there is nothing to be asked. */
function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

/** Writes over a file in the room that it has, where the volume has none for another one. Returns whether it could. */
export function overwrite(path: string, text: string): boolean {
  try {
    const file = openSync(path, 'r+');
    try {
      // In one write, so that no reader finds the end of the earlier text behind the new one.
      const written = writeSync(file, text.padEnd(statSync(path).size));
      ftruncateSync(file, Buffer.byteLength(text));
      return written >= Buffer.byteLength(text);
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}
