import type { Context } from '../context';
import type { End } from '../endpoints';
import type { Time } from './in-time';
import { endSessionsFor } from './old-sessions';
import type { Done } from './switch';

/** Ends the sessions of the end that was left, again and again for so long. Returns what was done, and to whom. */
export async function leaveEnd(context: Context, to: End, seconds: number, { signal }: Time): Promise<Done> {
  const left: End = to === 'target' ? 'source' : 'target';
  const { ended, refused, by } = await context.with(context.real(left), (client) =>
    endSessionsFor(client, seconds * 1000, signal),
  );
  const rest = refused === 0 ? '' : `; ${refused} others belong to roles whose sessions our login may not end`;
  return { done: `${ended} sessions on the ${left} were ended${rest}`, ended: by };
}
