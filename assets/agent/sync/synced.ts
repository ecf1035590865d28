import { inspectCaptured } from '../capture/check';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { Ends } from './applier';

/**
 * The relations whose changes are applied, as they are now: those that are copied, and whose triggers stand. One that
 * appeared later belongs to nobody until `add` has copied it; one that was made anew under its name has none of the rows
 * that the queue tells of, and its rows on the target would be taken for deleted. To be read anew by whoever begins to
 * apply: with the columns of yesterday a value of today would be left behind, and its change forgotten.
 */
export async function syncedRelations(context: Context, ends: Ends): Promise<Relation[]> {
  return [...(await inspectCaptured(context, ends)).synced];
}
