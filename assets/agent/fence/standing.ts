import type { Client } from 'pg';
import type { Context } from '../context';
import type { Direction, End } from '../endpoints';
import { Failure, oneLine } from '../errors';
import { readFenceState, type FenceState } from './objects';

/** Who takes the writes, as the two servers themselves say: the host's memory may be lost, or older than they are. */
export type Standing =
  /** One end takes writes; the other one does not, or has no fence yet (`begun: false`). */
  | { readonly kind: 'serves'; readonly end: End; readonly begun: boolean }
  /** A point of no return is passed and the end that takes over is not open yet: only forward. */
  | { readonly kind: 'passing'; readonly direction: Direction }
  /** No run of ours leaves this: somebody set a fence by hand, or a server was restored. */
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * What a pair of fences means.
 *
 * | source         | target       | Meaning                                                                     |
 * | -------------- | ------------ | --------------------------------------------------------------------------- |
 * | none or open   | none         | the migration has not made its schema, or was cleaned up; the source serves |
 * | none or open   | closed       | the source serves                                                           |
 * | until          | closed       | a cutover has fenced the source, which opens again by itself                 |
 * | final          | closed       | a cutover is past its point of no return: open the target                    |
 * | final          | open or none | the target serves; the source was left                                      |
 * | closed         | open or none | the target serves; the source is fed, and waits for a rollback               |
 * | closed         | until        | a rollback has fenced the target, which opens again by itself                |
 * | closed         | final        | a rollback is past its point of no return: open the source                   |
 * | none or open   | final        | the source serves after a rollback; the target was left                     |
 *
 * An end becomes `final` only while the other one is `closed`, and opens only while the other one is `final`. The end
 * that was left turns from `final` to `closed` only while the other one is open. So never are both open, and a run that
 * was killed between any two steps finds its pair here.
 */
export function standingOf(source: FenceState | undefined, target: FenceState | undefined): Standing {
  const [here, there] = [source?.kind ?? 'none', target?.kind ?? 'none'];
  const serves = (end: End, begun = true): Standing => ({ kind: 'serves', end, begun });
  if (here === 'final' && there === 'closed') return { kind: 'passing', direction: 'forward' };
  if (here === 'closed' && there === 'final') return { kind: 'passing', direction: 'back' };
  const waits = (kind: string): boolean => kind === 'final' || kind === 'closed';
  if (waits(here) && !waits(there)) return serves('target');
  if (!waits(here) && waits(there)) return serves('source');
  if (there === 'none') return serves('source', false);
  const why = `the fence of the source is "${here}" and that of the target is "${there}"`;
  return { kind: 'unknown', why };
}

/** Asks both ends. @param ends as the settings name them, whatever the direction */
export async function readStanding(ends: Readonly<Record<End, Client>>): Promise<Standing> {
  const [source, target] = await Promise.all([readFenceState(ends.source), readFenceState(ends.target)]);
  return standingOf(source, target);
}

/** The same, with Failure for a pair that no run of ours leaves. */
export async function requireStanding(
  ends: Readonly<Record<End, Client>>,
): Promise<Exclude<Standing, { kind: 'unknown' }>> {
  const standing = await readStanding(ends);
  if (standing.kind !== 'unknown') return standing;
  throw new Failure(
    `nobody can tell which end is to take the writes: ${standing.why}; decide, close the other end, and set the fence by hand (docs/rollback.md)`,
  );
}

/** The same in sessions of its own; unknown, with the cause, where an end cannot be asked, such as a source that is gone. */
export async function standingOrUnknown(context: Context): Promise<Standing> {
  try {
    return await context.with('source', (source) =>
      context.with('target', (target) => readStanding({ source, target })),
    );
  } catch (error) {
    return { kind: 'unknown', why: oneLine(error) };
  }
}

/** Whether this end takes the writes, or nobody can tell. @param context facing forward */
export async function serves(context: Context, end: End): Promise<boolean> {
  const standing = await standingOrUnknown(context);
  return standing.kind === 'unknown' || (standing.kind === 'serves' && standing.end === end);
}
