import type { Client } from 'pg';
import { DBGROUP } from '../bucardo/names';
import { TRUNCATED } from '../capture/objects';
import { queueOf, trackOf } from '../capture/names';
import { keyArray } from '../catalog/key-text';
import type { Key, Relation } from '../catalog/relations';
import { Failure } from '../errors';
import { ident, literal, sql } from '../sql';
import type { KeyDifference } from './comparison';
import { usableKey } from './relation-sql';

/** How one key's row stands on an end. */
export interface RowState {
  /** Hash of the row; null when there is none. */
  readonly hash: string | null;
  /** A change of the key is captured and not yet known to be applied; always false on the target. */
  readonly pending: boolean;
}

/** How a key differs, from its rows on both ends. */
export function differenceOf(key: readonly string[], here: RowState, there: RowState): KeyDifference {
  return {
    kind: there.hash === null ? 'missing on target' : here.hash === null ? 'extra on target' : 'different',
    key,
    ...(here.hash !== null && { sourceHash: here.hash }),
    ...(there.hash !== null && { targetHash: there.hash }),
  };
}

/**
 * Asks the present state of keys, hundreds in one statement. On the source, the row and its pending changes are read in
 * one snapshot, which is what makes "not pending" a proof that the target has, or had, just this row.
 */
export class KeyStates {
  private constructor(
    private readonly sourceQuery: string,
    private readonly targetQuery: string,
  ) {}

  /** Throws Failure where changes of the relation are not captured, so that nothing could be said of its rows. */
  static async of(source: Client, relation: Relation, hash: string): Promise<KeyStates> {
    const key = usableKey(relation);
    if (key === undefined) {
      throw new Failure(
        `${relation.sql} has no usable key (${relation.key?.unusable ?? 'no primary key'}), so rows in flight cannot be told from different ones; add a primary key`,
      );
    }
    const pending = await pendingCondition(source, relation, key);
    return new KeyStates(stateQuery(relation, key, hash, pending), stateQuery(relation, key, hash, 'false'));
  }

  onSource(source: Client, keys: readonly (readonly string[])[]): Promise<RowState[]> {
    return ask(source, this.sourceQuery, keys);
  }

  onTarget(target: Client, keys: readonly (readonly string[])[]): Promise<RowState[]> {
    return ask(target, this.targetQuery, keys);
  }
}

/** Subqueries rather than joins: each key then takes the index, whatever the statistics say. */
function stateQuery(relation: Relation, key: Key, hash: string, pending: string): string {
  const arrays = key.columns.map((column, i) => `$${i + 1}::${keyArray(column)}`).join(', ');
  const names = key.columns.map((_, i) => `k${i}`).join(', ');
  return sql`
    SELECT (SELECT ${hash} FROM ONLY ${relation.sql} AS t WHERE ${matches(key, 't')}) AS hash, ${pending} AS pending
    FROM unnest(${arrays}) WITH ORDINALITY AS w (${names}, n) ORDER BY w.n`;
}

const matches = (key: Key, alias: string): string =>
  key.columns
    .map((column, i) => `${alias}.${ident(column.name)} ${column.equals} w.k${i}::${column.baseType}`)
    .join(' AND ');

async function pendingCondition(source: Client, relation: Relation, key: Key): Promise<string> {
  const delta = queueOf(relation);
  const track = trackOf(relation);
  const { rows } = await source.query(
    'SELECT to_regclass($1) IS NOT NULL AS delta, to_regclass($2) IS NOT NULL AS track, to_regclass($3) IS NOT NULL AS truncated',
    [delta, track, TRUNCATED],
  );
  const found = rows[0] as { delta: boolean; track: boolean; truncated: boolean };
  if (!found.delta) {
    throw new Failure(`${relation.sql} is not captured: ${delta} does not exist; start the capture runbook`);
  }
  const applied = `EXISTS (SELECT FROM ${track} AS a WHERE a.txntime = d.txntime AND a.target = ${literal(DBGROUP)})`;
  const changed = `EXISTS (SELECT FROM ${delta} AS d WHERE ${matches(key, 'd')}${found.track ? ` AND NOT ${applied}` : ''})`;
  const truncated = `EXISTS (SELECT FROM ${TRUNCATED} AS x
    WHERE x.schema_name = ${literal(relation.schema)} AND x.relation_name = ${literal(relation.name)})`;
  return found.truncated ? `(${changed} OR ${truncated})` : changed;
}

async function ask(client: Client, query: string, keys: readonly (readonly string[])[]): Promise<RowState[]> {
  const columns = (keys[0] ?? []).map((_, i) => keys.map((key) => key[i]));
  const { rows } = await client.query<RowState>(query, columns);
  return rows;
}
