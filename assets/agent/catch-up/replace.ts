import type { Client } from 'pg';
import { queueOf } from '../capture/names';
import { keyOf } from '../capture/objects';
import { rangeCondition, type KeyRange } from '../catalog/key-order';
import { copiedColumns, type Relation } from '../catalog/relations';
import { identList } from '../sql';
import { copyRows, type RowOptions } from './copy-rows';
import { isListed, isQueued, sameKey } from './queue';

const KEYS = 'pg_temp.ibex_keys';

/** Which changed keys of a relation, and how their rows are replaced. */
export interface Keys {
  /**
   * Keys of one of the ranges that `cutQueue` or `cutAnew` made; several are applied side by side.
   *
   * @default all of the relation
   */
  readonly range?: KeyRange | undefined;
  /** Whether keys may come often enough in the queue that each is to be read once; the result is the same. @default true */
  readonly repeats?: boolean | undefined;
  /** Whether the target finds rows faster by looking each key of a range up; the result is the same. @default false */
  readonly lookups?: boolean | undefined;
}

/** Deletes every key on the target that changed, and inserts the present rows of these keys. Returns how many keys. */
export async function replaceKeys(
  source: Client,
  target: Client,
  relation: Relation,
  { range, repeats = true, lookups = false }: Keys,
  options: RowOptions,
): Promise<number> {
  const { columns } = keyOf(relation);
  const names = identList(columns.map((column) => column.name));
  const within = (alias: string): string => inRange(relation, range, alias);
  await target.query(
    `CREATE TEMP TABLE ibex_keys ON COMMIT DROP AS SELECT ${names} FROM ONLY ${relation.sql} WHERE false`,
  );
  const keys = await copyRows(
    source,
    `SELECT ${repeats ? 'DISTINCT ' : ''}${names} FROM ${queueOf(relation)} AS d WHERE ${within('d')}`,
    target,
    `${KEYS} (${names})`,
    { ...options, format: 'text' },
  );
  if (!lookups) await target.query(`ANALYZE ${KEYS}`);
  await target.query(
    lookups
      ? `DELETE FROM ONLY ${relation.sql} AS t WHERE ${isListed(relation, 't', KEYS)}`
      : `DELETE FROM ONLY ${relation.sql} AS t USING ${KEYS} AS k WHERE ${sameKey(relation, 't', 'k')} AND ${within('t')}`,
  );
  await copyRows(source, select(relation, isQueued(relation, range)), target, destination(relation), options);
  return keys;
}

const inRange = (relation: Relation, range: KeyRange | undefined, alias: string): string =>
  range === undefined ? 'true' : rangeCondition(relation, range, alias);

/** After a TRUNCATE the keys that went are unknown, so the relation is copied whole. */
export async function replaceAll(
  source: Client,
  target: Client,
  relation: Relation,
  options: RowOptions,
): Promise<number> {
  const { rowCount } = await target.query(`DELETE FROM ONLY ${relation.sql}`);
  const inserted = await copyRows(source, select(relation, 'true'), target, destination(relation), options);
  return Math.max(rowCount ?? 0, inserted, 1);
}

/** Inserts the rows of a range, of which the target has none. Returns how many. */
export const insertRange = (
  source: Client,
  target: Client,
  relation: Relation,
  range: KeyRange | undefined,
  options: RowOptions,
): Promise<number> =>
  copyRows(source, select(relation, inRange(relation, range, 't')), target, destination(relation), options);

const columnList = (relation: Relation): string => identList(copiedColumns(relation).map((column) => column.name));

const select = (relation: Relation, condition: string): string =>
  `SELECT ${columnList(relation)} FROM ONLY ${relation.sql} AS t WHERE ${condition}`;

const destination = (relation: Relation): string => `${relation.sql} (${columnList(relation)})`;
