import { queueOf } from '../capture/names';
import { keyOf } from '../capture/objects';
import { rangeCondition, type KeyRange } from '../catalog/key-order';
import type { Relation } from '../catalog/relations';
import { ident } from '../sql';

/** Condition that two aliases have the same key. */
export const sameKey = (relation: Relation, a: string, b: string): string =>
  keyOf(relation)
    .columns.map(({ name, equals }) => `${a}.${ident(name)} ${equals} ${b}.${ident(name)}`)
    .join(' AND ');

/** Condition that the key of an alias, of one column, stands in a table of keys; the server makes a list of them first. */
export const isListed = (relation: Relation, alias: string, keys: string): string =>
  keyOf(relation)
    .columns.map(
      ({ name, equals }) => `${alias}.${ident(name)} ${equals} ANY (ARRAY(SELECT ${ident(name)} FROM ${keys}))`,
    )
    .join(' AND ');

/**
 * Condition that the row `t` of a relation has a change in its queue. The planner does not conclude from the queue's
 * range on the table's, and would read all of the table each time, so it is told both.
 */
export function isQueued(relation: Relation, range: KeyRange | undefined): string {
  const within = (alias: string): string => (range === undefined ? 'true' : rangeCondition(relation, range, alias));
  return `${within('t')} AND EXISTS (SELECT FROM ${queueOf(relation)} AS d WHERE ${sameKey(relation, 'd', 't')} AND ${within('d')})`;
}
