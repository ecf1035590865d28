import type { Pace } from './paced';

/** Looks in a row that could not see the source, from which on no row moves. */
const BLIND_LOOKS = 3;

/** Looks after which a source that is gone is left to those who work on it: it cannot be hurt, and they find out, and fail. */
const GONE_LOOKS = 60;

/** Looks after which rows move at half speed though the source has no room: it may be full of our own sessions. */
const FULL_LOOKS = 600;

/**
 * How fast rows may move when so many looks in a row, the last one with this error, could not see the source: one that
 * takes no more sessions is at its worst just then. Undefined as long as nothing follows.
 */
export function blindPace(looks: number, error: unknown): Pace | undefined {
  if (looks < BLIND_LOOKS) return undefined;
  if (hasNoRoom(error)) return looks < FULL_LOOKS ? 'paused' : 'slow';
  return looks < GONE_LOOKS ? 'paused' : 'free';
}

/** Whether the server, the database or the login has room for no further session. */
function hasNoRoom(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as { code?: string };
  return code?.startsWith('53') === true;
}
