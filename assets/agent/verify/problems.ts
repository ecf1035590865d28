import type { Comparison } from './compare-all';
import type { CatalogComparison } from './compare-catalogs';
import { differing, type RelationComparison } from './comparison';

/** How many relations, keys or objects one message names. */
const NAMED = 5;

/** What either server says of a table that it does not have. */
const IS_GONE = /^relation ".*" does not exist$/;

const WHEN_DROPPED = '; where it was dropped on one end, drop it on the other too and start add, then verify again';

/** What a comparison of rows found wrong, in words with the way on; empty when nothing is. */
export function problemsOfRows(comparison: Comparison, repaired: boolean): string[] {
  const different = comparison.comparisons.filter(({ differences }) => differing(differences) > 0);
  const wayOn = repaired
    ? 'they were applied anew and differ again: something on the target changes these rows; find it and start verify again'
    : 'start verify with --repair (in the runbook: Repair true), which has these keys applied anew';
  return [
    ...firstOf(different, describeDifferences),
    ...(different.length > 0 ? [wayOn] : []),
    ...firstOf(
      comparison.notCompared,
      ({ relation, cause }) => `${relation} could not be compared: ${cause}${IS_GONE.test(cause) ? WHEN_DROPPED : ''}`,
    ),
  ];
}

/** What a comparison of catalogs found wrong, in words with the way on; empty when nothing is. */
export function problemsOfCatalogs({ failures }: CatalogComparison): string[] {
  if (failures.length === 0) return [];
  return [
    ...firstOf(failures, (failure) => failure),
    'make them on the target as on the source and start verify again',
  ];
}

function describeDifferences({ relation, differences, keys }: RelationComparison): string {
  const counts = Object.entries(differences).filter(([, count]) => count > 0);
  const kinds = counts.map(([kind, count]) => `${count} ${kind}`).join(', ');
  const named = keys.slice(0, NAMED).map(({ key }) => `(${key.join(', ')})`);
  return `${relation}: ${kinds}, keys ${named.join(' ')}${keys.length > NAMED ? ' …' : ''}`;
}

function firstOf<T>(list: readonly T[], describe: (one: T) => string): string[] {
  const rest = list.length - NAMED;
  return [...list.slice(0, NAMED).map(describe), ...(rest > 0 ? [`and ${rest} more`] : [])];
}
