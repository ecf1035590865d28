import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { copiedRelations } from '../lease';
import { CAPTURED_FACT, type Captured } from './check';

const ANEW = 'changes may have been missed: run cleanup and migrate again';

/**
 * What to do about problems of capture while the sync runs, in words. `add` takes in what is new and forgets what is gone;
 * only of what was captured or copied may changes be missing, which nothing but a new migration brings.
 *
 * @param problems by quoted name
 * @param relations all that the source has
 */
export async function wayOnOf(
  context: Context,
  target: Client,
  problems: ReadonlyMap<string, string>,
  relations: readonly Relation[],
): Promise<string> {
  // Once the target has taken writes, add takes in nothing.
  if (context.direction === 'back') return ANEW;
  const captured = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const there = relations.filter(({ sql }) => problems.has(sql));
  const fresh = there.filter(({ sql }) => captured[sql] === undefined);
  const copied = fresh.length > 0 ? await copiedRelations(target) : undefined;
  if (fresh.length < there.length || fresh.some(({ sql }) => copied?.has(sql))) return ANEW;
  return there.length < problems.size
    ? 'drop on the target too what is gone, and start add'
    : 'start add, which takes it in';
}
