import type { Client } from 'pg';
import { takenOff } from '../brake/capture-off';
import { truncatedRelations } from '../bucardo/queues';
import { inspectCaptured } from '../capture/check';
import { mendQueues } from '../capture/mend-queues';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure } from '../errors';
import { Spacing } from '../spacing';
import type { Ends } from './applier';
import { watchCatalog } from './catalog-watch';
import type { Looked } from './duty';
import { PROBLEM_FACT, type Problems } from './facts';
import { markAnew } from './mark-anew';

/**
 * Looks whether every change is still known. What is not stands as a problem until the sync is started again, which
 * refuses it; a table that appeared later is told of by the watch of the catalogs. Throws Failure when other relations
 * are to be applied than are, since a table was made anew under a known name, or has its name again.
 *
 * @param spacing spaces the reading of all tables, not the mending of a queue, which may have to wait for that
 */
export async function watchCapture(
  { context, ends, relations: applied }: Looked,
  spacing = new Spacing(),
): Promise<void> {
  const { relations, synced, strange, problems } = await spacing.run(() => inspectCaptured(context, ends));
  // First: who undoes what the problem tells of must meet the mark.
  await distrust(context, ends, strange);
  await keepProblems(context, [...problems.values()]);
  // A key that has changed again since the tables were read is found at the next look.
  await watchKeys(context, ends.source, relations);
  if (applied) await requireSame(ends, applied, synced, strange);
}

/** Has the queues fit their tables. A changed key stands as a problem at once. */
export async function watchKeys(context: Context, source: Client, relations: readonly Relation[]): Promise<void> {
  if ((await mendQueues(context, source, relations)).length > 0) await watchCatalog(context, source);
}

/** Says what has changed, and nothing of what stands: that may be long, and stand for days. */
async function keepProblems({ state, log }: Context, problems: readonly string[]): Promise<void> {
  const known = await state.fact<Problems | null>(PROBLEM_FACT);
  if (problems.length === 0 || problems.join() === known?.problems.join()) return;
  log.error({ problems }, 'capture is not complete');
  await state.setFact(PROBLEM_FACT, { problems } satisfies Problems);
}

/**
 * Has these copied anew once they are captured again: whoever applies works by name, and may have taken the rows of a
 * table that is none of ours for those of one that was renamed, and will come back.
 */
async function distrust(context: Context, { source }: Ends, strange: readonly Relation[]): Promise<void> {
  // All are strange then.
  if (strange.length === 0 || (await takenOff(context.state)) !== undefined) return;
  for (const relation of strange) {
    if ((await truncatedRelations(source, [relation])).length > 0) continue;
    await markAnew(context, source, relation);
  }
}

async function requireSame(
  { source }: Ends,
  applied: readonly Relation[],
  synced: readonly Relation[],
  strange: readonly Relation[],
): Promise<void> {
  const names = new Set(applied.map((relation) => relation.sql));
  const left = strange.find((relation) => names.has(relation.sql));
  if (left) throw new Failure(`${left.sql} is another table now, and is applied no more`);
  const back = synced.filter((relation) => !names.has(relation.sql));
  // What `add` has copied has no mark, and is left to it.
  if (back.length > 0 && (await truncatedRelations(source, back)).length > 0) {
    throw new Failure(`${back.map(({ sql }) => sql).join(', ')} is to be applied again`);
  }
}
