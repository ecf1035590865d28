import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { Ends } from './applier';
import {
  BASELINE_FACT,
  differenceOf,
  hasOtherNumbers,
  watchCatalog,
  type WatchedTable,
  type WatchedTables,
} from './catalog-watch';
import { CATALOG_FACT } from './facts';
import { markAnew } from './mark-anew';

/**
 * Takes in what was altered on the serving end, once the fed one has it, too. What an ALTER TABLE does to rows, no
 * trigger sees, each end may have filled a new column with values of its own, and changes that came before the columns
 * were read anew were applied with the old ones: such a table is copied anew, and compared as a whole.
 *
 * @param now tables of the serving end, read before its relations: what is altered in between shows at the next look
 * @param unfed relations, by quoted name, that cannot be fed, so that they are not taken in yet
 */
export async function takeInAltered(
  context: Context,
  ends: Ends,
  now: WatchedTables,
  relations: readonly Relation[],
  unfed: ReadonlySet<string>,
): Promise<void> {
  // Without the host's memory all is compared anew anyway, and watched from here on.
  const kept = (await context.state.fact<WatchedTables>(BASELINE_FACT)) ?? now;
  const others = Object.entries(now).filter(([name, table]) => {
    const known = kept[name];
    return known !== undefined && !unfed.has(name) && !isSame(known, table);
  });
  for (const [name, table] of others) {
    const relation = relations.find((each) => each.sql === name);
    if (!relation || !hasOtherRows(kept[name], table)) continue;
    context.log.warn({ relation: name }, 'a table was altered on both ends; it is copied anew');
    await markAnew(context, ends.source, relation);
  }
  // Last: killed before, all of it is done once more.
  if (others.length > 0 || kept === now)
    await context.state.setFact(BASELINE_FACT, { ...kept, ...Object.fromEntries(others) });
  // A rollback that was refused has told of it.
  if (await context.state.fact(CATALOG_FACT)) await watchCatalog(context, ends.source);
}

const isSame = (known: WatchedTable, now: WatchedTable): boolean =>
  differenceOf(known, now) === undefined && known.file === now.file && known.altered === now.altered;

/** A new file alone is that of a VACUUM FULL or TRUNCATE. */
const hasOtherRows = (known: WatchedTable | undefined, now: WatchedTable): boolean =>
  known !== undefined &&
  differenceOf(known, now) !== undefined &&
  (known.oid !== now.oid || known.columns !== now.columns || known.file !== now.file || hasOtherNumbers(known, now));
