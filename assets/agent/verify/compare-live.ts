import { readTypeShapes } from '../type-shapes';
import { compareRelation, type CompareOptions } from './compare-relation';
import type { RelationComparison } from './comparison';
import { KeyStates } from './pending';
import { hashOf } from './relation-sql';
import { prepareSessions } from './session';
import { Settling, type Patience, type Told } from './settling';

/** What `compareLive` needs. */
export type LiveOptions = CompareOptions & Told;

/**
 * Compares one relation while the source is written and changes are applied. A key counts as different only when no
 * change of it is on its way and the target disagrees again and again; a key that is still changing at the end of the
 * patience counts as in flight. Both sessions must be outside of a transaction, since each look needs a new snapshot.
 */
export async function compareLive(options: LiveOptions, patience: Patience): Promise<RelationComparison> {
  const began = performance.now();
  const { source, target, relation } = options;
  await prepareSessions(source, target);
  const shapes = options.shapes ?? (await readTypeShapes(source));
  const states = await KeyStates.of(source, relation, hashOf(relation, shapes));
  const settling = new Settling(source, target, states, patience, options);
  const comparison = await compareRelation({
    ...options,
    shapes,
    onDifferences: (differences) => settling.add(differences),
    onChunk: async (rows, again) => {
      await options.onChunk?.(rows, again);
      await settling.lookIfDue();
    },
  });
  await settling.finish();
  return {
    ...comparison,
    differences: settling.proven.counts,
    keys: settling.proven.keys,
    inFlight: settling.inFlight,
    seconds: (performance.now() - began) / 1000,
  };
}
