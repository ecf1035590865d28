import { readRelations } from '../catalog/relations';
import { withQueue } from '../catch-up/backlog';
import type { Context } from '../context';
import type { Ends } from './applier';
import { markAnew } from './mark-anew';

/**
 * Has every relation copied anew that is unlogged on the end that is fed, whatever it is on the source by now. To be called
 * when that end was, or may have been, started anew: after a crash its server empties them, though they count as copied and
 * as equal. May be repeated.
 */
export async function recopyUnlogged(context: Context, { source, target }: Ends): Promise<void> {
  const fed = (await readRelations(target, context.config)).filter(({ unlogged }) => unlogged);
  const emptied = new Set(fed.map(({ sql }) => sql));
  const there = (await readRelations(source, context.config)).filter(({ sql }) => emptied.has(sql));
  // What is not captured yet is not copied yet.
  const relations = await withQueue(source, there);
  for (const relation of relations) await markAnew(context, source, relation);
  if (relations.length === 0) return;
  context.log.warn(
    { relations: relations.map(({ sql }) => sql) },
    'unlogged, on a server that was, or may have been, started anew: copied anew',
  );
}
