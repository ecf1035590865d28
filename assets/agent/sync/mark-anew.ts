import type { Client } from 'pg';
import { markStatement } from '../capture/objects';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { DirtyKeys } from '../verify/dirty/dirty-keys';

/** Has a relation copied anew, as after a TRUNCATE, and compared as a whole. Killed in between, it is to be called again. */
export async function markAnew(context: Context, source: Client, relation: Relation): Promise<void> {
  const dirty = await DirtyKeys.open(context);
  await dirty.markAll(relation).finally(() => dirty.close());
  // Last: whoever finds this mark takes all of it for done.
  await source.query(markStatement(relation));
}
