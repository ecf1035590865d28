import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { isBusy } from '../capture/busy';
import { queueOf } from '../capture/names';
import { keyOf, TRUNCATED } from '../capture/objects';
import { keyArray, keyText } from '../catalog/key-text';
import { copiedColumns, type Relation } from '../catalog/relations';
import type { Lease } from '../lease';
import { ident, identList, literal } from '../sql';
import type { Sessions } from './apply';
import { PipeBroken } from '../copy/pipe';
import { isEncoding } from '../copy/unreadable-row';
import { beginReading } from './begin-reading';
import { copyRows } from './copy-rows';
import { explain, isWorthRepeating } from './explain';

/** Keys of one relation that are few: they are held in memory, and sent as values. */
export const FEW = 1_000;

/** Tries when the server cannot serialize us with a purge. */
const ATTEMPTS = 10;

/** Tries to lock relations of which somebody has one for itself, and the pauses between them; milliseconds. */
const BUSY_TRIES = 3;
const BUSY_MS = 20;

/** What was done with relations of which few changes were expected. */
export interface FewApplied {
  readonly keys: number;
  /**
   * Those left as they were, since they were truncated, more of them changed, somebody has one of all for itself, or a key
   * of one is no text in UTF-8.
   */
  readonly left: readonly Relation[];
}

/**
 * Brings several relations to one snapshot of the source, as `applyChanges` does with one, but in one transaction on
 * each end and without a table of keys: a tenth of the round trips, and one commit where there would be one for each
 * relation. The order is the same: the changes that one snapshot shows are forgotten in the transaction that read them,
 * and only after the target has committed them durably.
 */
export async function applyFew(sessions: Sessions, lease: Lease, relations: readonly Relation[]): Promise<FewApplied> {
  for (let attempt = 1; ; attempt += 1) {
    const at: { relation?: Relation } = {};
    try {
      return await once(sessions, lease, relations, at);
    } catch (error) {
      const { relation } = at;
      if (error instanceof PipeBroken || !isWorthRepeating(error) || attempt === ATTEMPTS) {
        // Else it concerns all of them.
        throw relation ? await explain(relation, error, undefined, sessions.ask) : error;
      }
      await Promise.all([sessions.source.query('ROLLBACK'), sessions.target.query('ROLLBACK')]);
    }
  }
}

/** Changed keys of a relation, as text. */
interface Changed {
  readonly relation: Relation;
  readonly keys: readonly (readonly string[])[];
}

async function once(
  { source, target, dirty }: Sessions,
  lease: Lease,
  relations: readonly Relation[],
  at: { relation?: Relation },
): Promise<FewApplied> {
  await target.query(`BEGIN; SET LOCAL session_replication_role = 'replica'`);
  // Before the snapshot, as in applyChanges.
  await lease.holdAll(target, relations);
  if (!(await hasBegun(source, relations))) {
    await target.query('ROLLBACK');
    return { keys: 0, left: relations };
  }
  const read = await readKeys(source, relations).catch((error: unknown) => {
    if (!isEncoding(error)) throw error;
    return undefined;
  });
  // Which one it is shows where each is applied by itself, and keeps none of the others from it.
  if (!read) {
    await Promise.all([source.query('ROLLBACK'), target.query('ROLLBACK')]);
    return { keys: 0, left: relations };
  }
  const { changed, left } = read;
  for (const change of changed) {
    at.relation = change.relation;
    await replace(source, target, change);
  }
  at.relation = undefined;
  await target.query('COMMIT');
  await dirty?.markCompared(changed);
  if (changed.length > 0) {
    await source.query(changed.map(({ relation }) => `DELETE FROM ${queueOf(relation)}`).join(';\n'));
  }
  await source.query('COMMIT');
  return { keys: changed.reduce((sum, { keys }) => sum + keys.length, 0), left };
}

/**
 * Begins to read, unless somebody has one of these for itself: waiting for it, we would have all the others wait, and
 * whoever wants one that we have locked. Most who have it so, have it for a moment.
 */
async function hasBegun(source: Client, relations: readonly Relation[]): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    try {
      await beginReading(source, relations, 'refuse');
      return true;
    } catch (error) {
      if (!isBusy(error)) throw error;
      await source.query('ROLLBACK');
    }
    if (tries === BUSY_TRIES) return false;
    await sleep(BUSY_MS);
  }
}

/** Reads all keys that the snapshot shows of those relations that have few. */
async function readKeys(
  source: Client,
  relations: readonly Relation[],
): Promise<{ changed: Changed[]; left: Relation[] }> {
  const { rows } = await source.query(relations.map(keysOf).join(' UNION ALL '));
  const read = rows as { index: number; key: string[] | null }[];
  const changed: Changed[] = [];
  const left: Relation[] = [];
  for (const [index, relation] of relations.entries()) {
    const own = read.filter((row) => row.index === index);
    const keys = own.flatMap(({ key }) => (key === null ? [] : [key]));
    const isTruncated = keys.length < own.length;
    if (isTruncated || keys.length > FEW) left.push(relation);
    else if (keys.length > 0) changed.push({ relation, keys });
  }
  return { changed, left };
}

/** Keys of a relation's queue, one more than are few; and a NULL when it was truncated. */
function keysOf(relation: Relation, index: number): string {
  const { columns } = keyOf(relation);
  return `(SELECT ${index} AS index, ARRAY[${columns.map((column) => keyText(column, 'q')).join(', ')}] AS key
     FROM (SELECT DISTINCT ${identList(columns.map(({ name }) => name))} FROM ${queueOf(relation)} LIMIT ${FEW + 1}) AS q)
    UNION ALL (SELECT ${index}, NULL FROM ${TRUNCATED}
      WHERE schema_name = ${literal(relation.schema)} AND relation_name = ${literal(relation.name)} LIMIT 1)`;
}

async function replace(source: Client, target: Client, { relation, keys }: Changed): Promise<void> {
  const { columns } = keyOf(relation);
  const values = columns.map((_, i) => keys.map((key) => key[i] ?? ''));
  const names = columns.map((_, i) => `k${i}`).join(', ');
  const match = columns
    .map(({ name, baseType, equals }, i) => `t.${ident(name)} ${equals} k.k${i}::${baseType}`)
    .join(' AND ');
  const parameters = columns.map((column, i) => `$${i + 1}::${keyArray(column)}`).join(', ');
  await target.query(
    `DELETE FROM ONLY ${relation.sql} AS t USING unnest(${parameters}) AS k (${names}) WHERE ${match}`,
    values,
  );
  // COPY takes no parameters.
  const literals = columns
    .map((column, i) => `ARRAY[${values[i]?.map(literal).join(', ')}]::${keyArray(column)}`)
    .join(', ');
  const list = identList(copiedColumns(relation).map((column) => column.name));
  await copyRows(
    source,
    `SELECT ${list} FROM ONLY ${relation.sql} AS t WHERE EXISTS (SELECT FROM unnest(${literals}) AS k (${names}) WHERE ${match})`,
    target,
    `${relation.sql} (${list})`,
  );
}
