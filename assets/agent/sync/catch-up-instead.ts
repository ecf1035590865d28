import type { Client } from 'pg';
import { truncatedRelations } from '../bucardo/queues';
import type { Relation } from '../catalog/relations';
import { CatchUp } from '../catch-up/rounds';
import { Failure } from '../errors';
import { handOver, takeOverSynced } from './applier';
import type { Watch } from './duty';
import { looksWhileSynced, whileLooking } from './looks';
import type { RecopyTries } from './recopy-tries';

/**
 * Lets catch-up apply what Bucardo cannot, or not in time, and hands over to Bucardo again below the threshold. Throws
 * Failure, with Bucardo ended, when some of it cannot be applied; all else is then. The source is looked at meanwhile.
 *
 * @param tries of truncated relations: their changes are left alone while the next one is waited for
 * @param atLeast what is applied however little of it there is. @default nothing
 */
export function catchUpInstead(
  watch: Watch,
  tries: RecopyTries,
  why: string,
  atLeast: 'nothing' | 'all' = 'nothing',
): Promise<void> {
  return whileLooking(watch.context, looksWhileSynced, () => applyAndHandOver(watch, tries, why, atLeast));
}

/** Those of the relations whose changes may be applied now. */
export async function dueRelations(
  source: Client,
  relations: readonly Relation[],
  tries: RecopyTries,
): Promise<readonly Relation[]> {
  if (tries.ready) return relations;
  const waiting = new Set(await truncatedRelations(source, relations));
  return relations.filter((relation) => !waiting.has(relation));
}

async function applyAndHandOver(
  { context, ends, relations: before }: Watch,
  tries: RecopyTries,
  why: string,
  atLeast: 'nothing' | 'all',
): Promise<void> {
  context.log.warn({ why }, 'catch-up takes over from Bucardo');
  await context.state.count('sync.takeovers', 1);
  const { lease, relations } = await takeOverSynced(context, ends);
  const due = await dueRelations(ends.source, relations, tries);
  const isRecopy = (await truncatedRelations(ends.source, due)).length > 0;
  const began = performance.now();
  const catchUp = new CatchUp(context, due, lease);
  try {
    const once = atLeast === 'all' ? await catchUp.apply(due) : 0;
    const keys = once + (await catchUp.until(ends.source, context.config.sync.handoverKeys));
    context.log.info({ keys }, 'catch-up hands over to Bucardo');
  } catch (error) {
    if (isRecopy) tries.failed(performance.now() - began);
    throw error;
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
  if (truncated.length === 0) tries.done();
  else if (tries.ready) await catchUpInstead(watch, tries, 'a relation was truncated');
}
