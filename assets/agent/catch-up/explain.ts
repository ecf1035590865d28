import type { Client } from 'pg';
import { truncatedRelations } from '../bucardo/queues';
import { queueOf } from '../capture/names';
import { keyOf, markStatement } from '../capture/objects';
import { rangeCondition, type KeyRange } from '../catalog/key-order';
import { copiedColumns, type Relation } from '../catalog/relations';
import { checkCure, ENCODING_CURES } from '../copy/explain';
import { isTooLong, largestRow, TOO_LONG_CURE } from '../copy/largest-row';
import { PipeBroken } from '../copy/pipe';
import { searchPathCure } from '../copy/search-path';
import { firstUnreadable, isUnreadable, UNREADABLE_CURE, unreadableRow } from '../copy/unreadable-row';
import { Failure, oneLine } from '../errors';
import { ROOM_CURES } from '../failures';
import { identList } from '../sql';
import { isQueued } from './queue';

/** Work with a further session on the source: those of an applier end when a COPY of theirs breaks off. */
export type AskSource = <T>(work: (source: Client) => Promise<T>) => Promise<T>;

/** Whether the server could not serialize us with somebody, and the same again may succeed. */
export const isWorthRepeating = (error: unknown): boolean =>
  ['40001', '40P01'].includes((error as { code?: string }).code ?? '');

/**
 * Names the relation, the cause and the way on; and the row, where one is longer than a server can take.
 *
 * @param range of the keys that were to be applied
 * @param ask without it the row is not looked for
 */
export async function explain(
  relation: Relation,
  error: unknown,
  range: KeyRange | undefined,
  ask: AskSource | undefined,
): Promise<Error> {
  const cause = error instanceof PipeBroken ? error.cause : error;
  if (cause instanceof Failure) return cause;
  type Told = Partial<Record<'code' | 'constraint' | 'detail' | 'where', string>>;
  const { code = '', constraint, detail, where } = cause as Told;
  if (code === '23505') {
    return new Failure(
      `${relation.sql} cannot be applied: a row of the target has the same value under "${constraint}" (${detail}); nothing was skipped; find who wrote the target, and start again`,
      { cause },
    );
  }
  const find = isTooLong(cause) ? findLargest : isUnreadable(error) ? findUnreadable : undefined;
  const fault = find && (await ask?.((source) => find(source, relation, range)).catch(() => undefined));
  const ownCure = isTooLong(cause) ? TOO_LONG_CURE : isUnreadable(error) ? UNREADABLE_CURE : undefined;
  const cure =
    fault?.cure ?? ownCure ?? searchPathCure(cause) ?? checkCure(cause) ?? ENCODING_CURES[code] ?? ROOM_CURES[code];
  // A value is at fault: where it is helps to find it.
  const isValue = code.startsWith('22') || code === '23514';
  const place = fault?.place ?? (isValue && where && oneLine(where));
  return new Failure(
    `${relation.sql} cannot be applied: ${oneLine(cause)}${place ? ` (${place})` : ''}${cure ? `; ${cure}` : ''}; nothing was forgotten; start again`,
    { cause },
  );
}

/** What is at fault, in words; and what to do about it, where that is not the same for all. */
interface Fault {
  readonly place: string;
  readonly cure?: string;
}

type Find = typeof largestRow;

const findLargest = async (
  source: Client,
  relation: Relation,
  range: KeyRange | undefined,
): Promise<Fault | undefined> =>
  (await findQueued(source, relation, range, largestRow)) ?? findAny(source, relation, largestRow);

/** A key that stands in the queue alone, since its row has another one now or is gone, cannot be corrected any more. */
async function findUnreadable(
  source: Client,
  relation: Relation,
  range: KeyRange | undefined,
): Promise<Fault | undefined> {
  const queued = await findQueued(source, relation, range, unreadableRow);
  if (queued) return queued;
  if ((await truncatedRelations(source, [relation])).length > 0) return findAny(source, relation, unreadableRow);
  const columns = identList(keyOf(relation).columns.map(({ name }) => name));
  const within = range === undefined ? 'true' : rangeCondition(relation, range, 'd');
  const changes = `(SELECT ${columns} FROM ${queueOf(relation)} AS d WHERE ${within}) AS d`;
  const key = await firstUnreadable(source, changes, columns, columns);
  if (key === undefined) return undefined;
  return {
    place: `a change notes the key ${key}, which no row has any more`,
    // Not "the source": on the way back that is what an operator knows as the target.
    cure: `have the table copied anew, by this statement at the end that serves: ${markStatement(relation)}`,
  };
}

/** The row at fault among those that changed. */
async function findQueued(
  source: Client,
  relation: Relation,
  range: KeyRange | undefined,
  find: Find,
): Promise<Fault | undefined> {
  const names = identList(copiedColumns(relation).map(({ name }) => name));
  const queued = `(SELECT ${names} FROM ONLY ${relation.sql} AS t WHERE ${isQueued(relation, range)}) AS t`;
  const place = await find(source, relation, queued);
  return place === undefined ? undefined : { place };
}

/** The row at fault among all, where none stands in the queue: the relation was truncated. */
async function findAny(source: Client, relation: Relation, find: Find): Promise<Fault | undefined> {
  const place = await find(source, relation, `ONLY ${relation.sql} AS t`);
  return place === undefined ? undefined : { place };
}
