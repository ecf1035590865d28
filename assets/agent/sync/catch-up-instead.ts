import { truncatedRelations } from '../bucardo/queues';
import type { Relation } from '../catalog/relations';
import { CatchUp } from '../catch-up/rounds';
import { Failure } from '../errors';
import { handOver, takeOverSynced } from './applier';
import type { Watch } from './duty';
import { whileLooking } from './looks';
import type { RecopyTries } from './recopy-tries';

/**
 * Lets catch-up apply what Bucardo cannot, or not in time, and hands over to Bucardo again below the threshold. Throws
 * Failure, with Bucardo ended, when some of it cannot be applied; all else is then. The source is looked at meanwhile.
 *
 * @param atLeast what is applied however little of it there is. @default nothing
 */
export function catchUpInstead(watch: Watch, why: string, atLeast: 'nothing' | 'all' = 'nothing'): Promise<void> {
  return whileLooking(watch.context, () => applyAndHandOver(watch, why, atLeast));
}

async function applyAndHandOver(
  { context, ends, relations: before }: Watch,
  why: string,
  atLeast: 'nothing' | 'all',
): Promise<void> {
  context.log.warn({ why }, 'catch-up takes over from Bucardo');
  await context.state.count('sync.takeovers', 1);
  const { lease, relations } = await takeOverSynced(context, ends);
  const catchUp = new CatchUp(context, relations, lease);
  try {
    const once = atLeast === 'all' ? await catchUp.apply(relations) : 0;
    const keys = once + (await catchUp.until(ends.source, context.config.sync.handoverKeys));
    context.log.info({ keys }, 'catch-up hands over to Bucardo');
  } finally {
    await catchUp.close();
  }
  await handOver(context, ends, relations);
  const names = (list: readonly Relation[]): string => JSON.stringify(list.map(({ sql }) => sql).sort());
  if (names(before) !== names(relations))
    throw new Failure('other tables are applied than before, over which the supervisor begins anew');
}

/**
 * Copies truncated relations anew, which Bucardo cannot; one that appeared later is left to `add`. What fails, perhaps
 * after all of a large one was read from the source, is tried less and less often.
 */
export async function recopyTruncated(watch: Watch, tries: RecopyTries): Promise<void> {
  const truncated = await truncatedRelations(watch.ends.source, watch.relations);
  if (truncated === 0) tries.done();
  if (truncated === 0 || !tries.ready) return;
  const began = performance.now();
  try {
    await catchUpInstead(watch, 'a relation was truncated');
  } catch (error) {
    tries.failed(performance.now() - began);
    throw error;
  }
}
