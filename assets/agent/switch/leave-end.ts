import type { Context } from '../context';
import type { End } from '../endpoints';
import type { Time } from './in-time';
import { endSessionsFor } from './old-sessions';

/** Ends the sessions of the end that was left, again and again for so long. Returns what was done, in words. */
export async function leaveEnd(context: Context, to: End, seconds: number, { signal }: Time): Promise<string> {
  const left: End = to === 'target' ? 'source' : 'target';
  const { ended, refused } = await context.with(context.real(left), (client) =>
    endSessionsFor(client, seconds * 1000, signal),
  );
  const rest = refused === 0 ? '' : `; ${refused} others belong to roles whose sessions our login may not end`;
  return `${ended} sessions on the ${left} were ended${rest}`;
}
