import type { Relation } from '../catalog/relations';
import type { Context } from '../context';

/** Fact, in the state, of the oid on the source, by quoted name, of what was captured when the dump began. */
const HELD_FACT = 'dump.held';

/** To be called before pg_dump begins, with relations whose capture was looked at. */
export const rememberHeld = ({ state }: Context, relations: readonly Relation[]): Promise<void> =>
  state.setFact(HELD_FACT, Object.fromEntries(relations.map(({ sql, oid }) => [sql, oid])));

/**
 * Tells whose rows in the dump catch-up can complete. Those of a table that was made, or renamed, after capture was
 * looked at may be in it as well: what changed before capture began with it stands in no queue.
 */
export async function heldBy({ state }: Context): Promise<(relation: Relation) => boolean> {
  const held = await state.fact<Readonly<Record<string, number>>>(HELD_FACT);
  // An older Ibex has not kept it.
  return ({ sql, oid }) => held === undefined || held[sql] === oid;
}
