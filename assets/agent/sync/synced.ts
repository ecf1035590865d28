import { readRelations, type Relation } from '../catalog/relations';
import type { Context } from '../context';
import { copiedRelations } from '../lease';
import type { Ends } from './applier';

/**
 * The relations whose changes are applied, as they are now: those that are copied, and so were captured before. One that
 * appeared later belongs to nobody until `add` has copied it. To be read anew by whoever begins to apply: with the columns
 * of yesterday a value of today would be left behind, and its change forgotten.
 */
export async function syncedRelations(context: Context, ends: Ends): Promise<Relation[]> {
  const copied = await copiedRelations(ends.target);
  const relations = await readRelations(ends.source, context.config);
  return relations.filter((relation) => copied.has(relation.sql));
}
