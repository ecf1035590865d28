import type { Client } from 'pg';
import type { KeyRange } from '../catalog/key-order';
import { copiedColumns, type Relation } from '../catalog/relations';
import { ENCODING_CURES } from '../copy/explain';
import { isTooLong, largestRow, TOO_LONG_CURE } from '../copy/largest-row';
import { PipeBroken } from '../copy/pipe';
import { isUnreadable, UNREADABLE_CURE, unreadableRow } from '../copy/unreadable-row';
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
  const find = isTooLong(cause) ? largestRow : isUnreadable(error) ? unreadableRow : undefined;
  const row = find && (await ask?.((source) => findQueued(source, relation, range, find)).catch(() => ''));
  const ownCure = isTooLong(cause) ? TOO_LONG_CURE : isUnreadable(error) ? UNREADABLE_CURE : undefined;
  const cure = ownCure ?? ENCODING_CURES[code] ?? ROOM_CURES[code];
  // A value is at fault: where it is helps to find it.
  const place = row || (code.startsWith('22') && where && oneLine(where));
  return new Failure(
    `${relation.sql} cannot be applied: ${oneLine(cause)}${place ? ` (${place})` : ''}${cure ? `; ${cure}` : ''}; nothing was forgotten; start again`,
    { cause },
  );
}

/** The row at fault among those that changed; among all, when the relation was truncated and none stands in its queue. */
async function findQueued(
  source: Client,
  relation: Relation,
  range: KeyRange | undefined,
  find: typeof largestRow,
): Promise<string | undefined> {
  const names = identList(copiedColumns(relation).map(({ name }) => name));
  const rows = `ONLY ${relation.sql} AS t`;
  const queued = `(SELECT ${names} FROM ${rows} WHERE ${isQueued(relation, range)}) AS t`;
  return (await find(source, relation, queued)) ?? find(source, relation, rows);
}
