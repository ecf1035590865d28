import type { Relation } from '../catalog/relations';
import { Failure, oneLine } from '../errors';
import { describePart, type Part } from './cuts';
import { isTooLong, TOO_LONG_CURE } from './largest-row';
import { searchPathCure } from './search-path';
import { isUnreadable, UNREADABLE_CURE } from './unreadable-row';

/** What to do about text that the target's encoding does not allow, by the server's code. */
export const ENCODING_CURES: Readonly<Record<string, string>> = {
  '22021': `the source holds text that is not valid in the target's encoding; correct that value there`,
  '22P05': `the source holds text that the target's encoding does not know; correct that value there`,
};

/** Of what our own statement names, and is not there: the server tells no place of it. */
const GONE_CURES: Readonly<Record<string, string>> = {
  '42P01': 'it was dropped; drop it on the target too, start capture',
  '42703': 'a column was dropped or renamed; undo that, or run cleanup and migrate again',
};

const CURES: Readonly<Record<string, string>> = { ...ENCODING_CURES, '42501': 'grant that right' };

/**
 * What to do about a row that a constraint refuses on one end, and let be on the other: it was there before. Undefined for
 * other errors, as for a row of another partition.
 */
export function checkCure(error: unknown): string | undefined {
  const { code, constraint } = error as { code?: string; constraint?: string };
  if (code !== '23514' || constraint === undefined) return undefined;
  return 'the row came to be without that constraint, which is asked again for each row that is brought: correct the row where it comes from, or drop the constraint on both ends until after the cutover';
}

/** The writing end says at which line it stands; the reading one may lack room for temporary files. */
const fullVolume = (where = ''): string =>
  where.startsWith('COPY ')
    ? 'a volume of the target is full; what is there is kept; enlarge it'
    : 'a disk is full; what is there is kept; enlarge it';

/**
 * What became of a relation, in one line that names it, the cause, and the way on.
 *
 * @param part in which it happened
 * @param row the row at fault, in words
 */
export function explainCopy(relation: Relation, error: unknown, part?: Part, row?: string): Failure {
  const root = rootOf(error);
  const { code, where } = root as { code?: string; where?: string };
  // A value is at fault: where it is helps to find it.
  const isValue = code?.startsWith('22') ?? false;
  const places = [isValue && part && describePart(part), row, where && oneLine(where)].filter(Boolean).join(', ');
  const place = places === '' ? '' : ` (${places})`;
  const cure = isUnreadable(error) ? UNREADABLE_CURE : cureOf(root);
  return new Failure(
    `rows of ${relation.sql} cannot be copied: ${oneLine(root)}${place}${cure === undefined ? '' : `; ${cure}`}; start copy again, it resumes`,
    { cause: error },
  );
}

function cureOf(root: unknown): string | undefined {
  const { code = '', where } = root as { code?: string; where?: string };
  if (isTooLong(root)) return TOO_LONG_CURE;
  if (code === '53100') return fullVolume(where);
  return searchPathCure(root) ?? checkCure(root) ?? CURES[code] ?? (where === undefined ? GONE_CURES[code] : undefined);
}

const rootOf = (error: unknown): unknown => {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? rootOf(cause) : error;
};
