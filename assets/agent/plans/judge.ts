import type { Access, Plan } from './plan';

/** A difference under which a time is noise; milliseconds. */
const NOISE_MS = 5;

/** A difference under which blocks do not count, and a table whose whole reading does not: 1 MiB. */
export const NOISE_BLOCKS = 128;

/** How far apart expectation and truth must be for a hint; times. */
const WRONG_ESTIMATE = 100;

const SEQUENTIAL = 'Seq Scan';

/**
 * Why the target's plan is worse; empty when it is not. Costs are not looked at: each version has its own.
 *
 * @param isSmall whether a table of the target is so small that it may well be read as a whole
 */
export function reasonsFor(
  source: Plan,
  target: Plan,
  factor: number,
  isSmall: (relation: string) => boolean,
): string[] {
  const reasons: string[] = [];
  if (source.ms !== undefined && target.ms !== undefined && isWorse(source.ms, target.ms, factor, NOISE_MS))
    reasons.push(`${target.ms.toFixed(1)} ms instead of ${source.ms.toFixed(1)} ms`);
  const [before, after] = [source.blocks, target.blocks];
  if (before !== undefined && after !== undefined && isWorse(before, after, factor, NOISE_BLOCKS))
    reasons.push(`${count(after)} blocks read instead of ${count(before)}`);
  const measured = source.ms !== undefined && target.ms !== undefined;
  // Figures tell whether another way is a worse one; without them the way itself must.
  if (measured && reasons.length === 0) return [];
  for (const { before } of lostIndexes(source, target)) {
    if (!isSmall(before.relation))
      reasons.push(`reads all of ${before.relation}, where the source takes ${before.index ?? 'an index'}`);
  }
  return reasons;
}

const isWorse = (source: number, target: number, factor: number, noise: number): boolean =>
  target > source * factor && target - source > noise;

const count = (value: number): string => value.toLocaleString('en-US');

/** Relations that the source finds by an index and the target reads as a whole. */
export function lostIndexes(source: Plan, target: Plan): { readonly before: Access }[] {
  return source.accesses.flatMap((before) => {
    if (before.index === undefined) return [];
    const after = target.accesses.filter(({ relation }) => relation === before.relation);
    const all = after.some(({ method }) => method === SEQUENTIAL);
    const stillIndexed = after.some(({ index }) => index !== undefined);
    return all && !stillIndexed ? [{ before }] : [];
  });
}

/** Relations of which the target expects a quite wrong number of rows, as its run shows, and the source did not. */
export function wrongEstimates(source: Plan, target: Plan): string[] {
  const off = ({ expected, actual }: Access): number =>
    actual === undefined ? 1 : Math.max(expected / Math.max(actual, 1), actual / Math.max(expected, 1));
  return target.accesses
    .filter((access) => off(access) >= WRONG_ESTIMATE)
    .filter(({ relation }) => {
      const known = source.accesses.filter((access) => access.relation === relation);
      return known.every((access) => off(access) < WRONG_ESTIMATE);
    })
    .map(({ relation }) => relation);
}
