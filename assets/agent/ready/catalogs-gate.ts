import { compareCatalogs } from '../verify/compare-catalogs';
import { block, firstOf, pass, type Gate } from './gate';

/** Longest description of one difference; characters. The evidence has them whole. */
const LONGEST = 200;

/** Differences and warnings that the evidence holds. */
const KEPT = 100;

/** Whether the target is still defined as the source: DDL that came after the last verify is seen by nothing else. */
export const CATALOGS_GATE: Gate = {
  name: 'catalogs still agree',
  query: 'compareCatalogs, as verify has it',
  again: true,
  // The old source may lack what was made on the end that served meanwhile.
  forwardOnly: true,
  ask: async ({ context, source, target }) => {
    const { objects, failures, warnings } = await compareCatalogs(source, target, context.config);
    const result = { objects, failures: failures.slice(0, KEPT), warnings: warnings.slice(0, KEPT) };
    const count = Object.values(objects).reduce((sum, of) => sum + of, 0);
    if (failures.length === 0) return pass(`${count.toLocaleString('en-US')} objects, as verify compares them`, result);
    const named = firstOf(failures.map((one) => (one.length > LONGEST ? `${one.slice(0, LONGEST)} …` : one)));
    return block(
      named,
      'apply the same DDL to the target, or start add for what is new; then start verify again',
      result,
    );
  },
};
