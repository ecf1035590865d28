import type { Client } from 'pg';
import type { Context } from '../context';
import { leadLedHome } from '../cutover/home';
import type { End } from '../endpoints';
import { Failure, oneLine } from '../errors';
import { readFenceState } from '../fence/objects';
import { requireStanding } from '../fence/standing';
import { GONE_WORDS, goneSource, type Gone } from './gone';

/** Both ends, as far as they can be changed now. */
export interface Reached {
  readonly source: Client | undefined;
  readonly target: Client | undefined;
  /** Why an end is left as it is, one line each: with what may be left there and how to take it off. */
  readonly untouched: readonly string[];
  /** What was said of a source that is gone for good, and so is left as it is; absent when it is to be cleaned. */
  readonly gone?: Gone;
  /** Whether the source was left for the target, so that its fence has to stay. */
  readonly keepFence: boolean;
}

const REMEDY = 'take it off there with assets/sql/remove.sql';

/**
 * Connects to both ends and finds out which of them may be cleaned. Of an end alone only one that takes writes by its own
 * account: the queues of another one may hold what the end that is away has not got yet. Throws Failure while writes are
 * between both ends, when neither can be reached, and when those whom an attempt that died has led to the end that does not
 * serve cannot be led back: no fence would keep them from writing there.
 */
export async function reachEnds(context: Context): Promise<Reached> {
  const [here, there] = [await reach(context, 'source'), await reach(context, 'target')];
  if ('client' in here && 'client' in there) {
    const [source, target] = [here.client, there.client];
    const standing = await requireStanding({ source, target });
    if (standing.kind === 'passing') {
      const phase = standing.direction === 'forward' ? 'cutover' : 'rollback';
      throw new Failure(`a ${phase} has passed its point of no return and did not end; start ${phase} again first`);
    }
    await leadLedHome(standing.end === 'source' ? context : context.turned());
    return { source, target, untouched: [], keepFence: standing.end === 'target' };
  }
  const lone = 'client' in here ? here : 'client' in there ? there : undefined;
  if (!lone) throw 'error' in here ? here.error : new Failure('no end can be reached');
  const away = lone === here ? there : here;
  // A secret that cannot be read is a mistake on this host, and soon mended.
  if ('error' in away && away.unread) throw away.error;
  const gone = away.end === 'source' ? await goneSource(context) : undefined;
  const untouched = gone
    ? []
    : [
        `the ${away.end} cannot be changed (${oneLine('error' in away ? away.error : '')}): triggers, schemas bucardo and ibex and the fence may be left there; start cleanup again, or ${REMEDY}${away.end === 'source' ? `; or, when it never comes back, ibex gone --accept "${GONE_WORDS}" on the host, then cleanup` : ''}`,
      ];
  const state = await readFenceState(lone.client);
  const [own, other] = [lone.end, away.end];
  if (state?.kind === 'final' || state?.kind === 'closed') {
    untouched.push(
      `the ${own} refuses writes, and whether the ${other} has all of them cannot be told: nothing was removed; start cleanup again when both can be reached, or decide, and ${REMEDY}`,
    );
    return { source: undefined, target: undefined, untouched, keepFence: true };
  }
  return {
    source: own === 'source' ? lone.client : undefined,
    target: own === 'target' ? lone.client : undefined,
    untouched,
    keepFence: false,
    ...(gone && { gone }),
  };
}

type Answer = { readonly end: End } & (
  { readonly client: Client } | { readonly error: unknown; readonly unread?: boolean }
);

async function reach(context: Context, end: End): Promise<Answer> {
  try {
    await context.endpoint(end);
  } catch (error) {
    return { end, error, unread: true };
  }
  try {
    const client = await context.connect(end, context.phase, true);
    // The default of a database or role can be overruled, a standby cannot.
    await client.query('SET default_transaction_read_only = off');
    const { rows } = await client.query('SELECT pg_is_in_recovery() AS standby');
    if ((rows[0] as { standby: boolean }).standby) return { end, error: new Failure('it is a standby') };
    return { end, client };
  } catch (error) {
    return { end, error };
  }
}
