import type { Client } from 'pg';
import { readRelations } from '../catalog/relations';
import type { Context } from '../context';
import { markAnew } from './mark-anew';

/**
 * Has every unlogged relation copied anew. To be called when the end that is fed was started anew: after a crash its
 * server empties them, though they count as copied and as equal. May be repeated.
 */
export async function recopyUnlogged(context: Context, source: Client): Promise<void> {
  const relations = (await readRelations(source, context.config)).filter(({ unlogged }) => unlogged);
  for (const relation of relations) await markAnew(context, source, relation);
  if (relations.length === 0) return;
  context.log.warn(
    { relations: relations.map(({ sql }) => sql) },
    'unlogged, on a server that was started anew: copied anew',
  );
}
