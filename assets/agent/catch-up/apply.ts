import type { Client } from 'pg';
import { queueOf } from '../capture/names';
import { keyOf, TRUNCATED } from '../capture/objects';
import { UNBRAKED, type Paced } from '../brake/paced';
import { rangeCondition, type KeyRange } from '../catalog/key-order';
import { copiedColumns, type Relation } from '../catalog/relations';
import type { Lease } from '../lease';
import { identList, literal } from '../sql';
import type { DirtyKeys } from '../verify/dirty/dirty-keys';
import type { CopyFormat } from '../copy/format';
import { givingWay } from '../copy/give-way';
import { PipeBroken } from '../copy/pipe';
import { copyRows, type RowOptions } from './copy-rows';
import { explain, isWorthRepeating, type AskSource } from './explain';
import { isListed, isQueued, sameKey } from './queue';

/** Both sessions of one applier. */
export interface Sessions {
  readonly source: Client;
  readonly target: Client;
  /** Where keys are marked, before they are forgotten, to be compared again. @default nowhere */
  readonly dirty?: DirtyKeys;
  /** How to look for a row that is too long. @default it is not named */
  readonly ask?: AskSource;
  /** Slows a portion down, or breaks it off, for the source's sake. @default nothing does */
  readonly brake?: Paced | undefined;
}

/** Tries of one relation when the server cannot serialize us with Bucardo or a purge. */
const ATTEMPTS = 10;

const KEYS = 'pg_temp.ibex_keys';

/** Keys of a range and rows in the order of their index are merged: that needs a quarter less of a core than hashing. */
const MERGED = 'SET LOCAL enable_hashjoin = off';

/** What is applied at once. */
export interface Portion {
  /** An exported snapshot to apply to. @default the newest one */
  readonly snapshot?: string | undefined;
  /** Keys of one of the ranges that `cutQueue` made; several are applied side by side. @default all of the relation */
  readonly range?: KeyRange | undefined;
  /** Whether keys may come often enough in the queue that each is to be read once; the result is the same. @default true */
  readonly repeats?: boolean | undefined;
  /** Whether the target finds rows faster by looking each key of a range up; the result is the same. @default false */
  readonly lookups?: boolean | undefined;
  /** Binary only where both ends' columns are of the same types. @default text */
  readonly format?: CopyFormat | undefined;
}

/**
 * Brings one relation on the target to a snapshot of the source: deletes there every key that changed, inserts the
 * present rows of these keys, and only then, **in the same source transaction and snapshot, forgets exactly the changes
 * that were read**. Killed anywhere it is repeated with the same result: a change is forgotten only after the target
 * has committed it durably.
 *
 * All changes that the snapshot shows, or all of one range, go into one target transaction, all deletes before all
 * inserts, so that unique values may have moved between keys. Returns the number of keys applied; a range of a
 * relation that was truncated is left to a portion without one. Throws GivenBack, with both sessions closed, when the
 * source needs its lock or its snapshot.
 */
export async function applyChanges(
  sessions: Sessions,
  lease: Lease,
  relation: Relation,
  portion: Portion = {},
): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(sessions, lease, relation, portion);
    } catch (error) {
      if (error instanceof PipeBroken || !isWorthRepeating(error) || attempt === ATTEMPTS) {
        throw await explain(relation, error, portion.range, sessions.ask);
      }
      await Promise.all([sessions.source.query('ROLLBACK'), sessions.target.query('ROLLBACK')]);
    }
  }
}

async function once(
  { source, target, dirty, brake = UNBRAKED }: Sessions,
  lease: Lease,
  relation: Relation,
  portion: Portion,
): Promise<number> {
  const { snapshot, range, format } = portion;
  if (isIdle(await pending(source, relation))) return 0;
  await target.query('BEGIN');
  await target.query(`SET LOCAL session_replication_role = 'replica'`);
  // Before the snapshot: else whoever held it meanwhile may have applied, and forgotten, more than this snapshot shows.
  await lease.hold(target, relation, range === undefined ? 'alone' : 'others');
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  if (snapshot !== undefined) await source.query(`SET TRANSACTION SNAPSHOT ${literal(snapshot)}`);
  if (range !== undefined) await Promise.all([source.query(MERGED), target.query(MERGED)]);
  const work = await pending(source, relation);
  if (isIdle(work) || (work.truncated && range !== undefined)) {
    await Promise.all([source.query('COMMIT'), target.query('COMMIT')]);
    return 0;
  }
  const applied = await givingWay(brake, work.pid, (signal) => {
    const options = { format, onBytes: brake.wait, signal };
    return work.truncated
      ? replaceAll(source, target, relation, options)
      : replaceKeys(source, target, relation, portion, options);
  });
  await target.query('COMMIT');
  await forget(source, relation, range, dirty);
  if (work.truncated) await dirty?.markAll(relation);
  await source.query('COMMIT');
  return applied;
}

interface Pending {
  readonly changed: boolean;
  readonly truncated: boolean;
  /** Of the session on the source. */
  readonly pid: number;
}

const isIdle = ({ changed, truncated }: Pending): boolean => !changed && !truncated;

async function pending(source: Client, relation: Relation): Promise<Pending> {
  const { rows } = await source.query(
    `SELECT EXISTS (SELECT FROM ${queueOf(relation)}) AS changed,
       EXISTS (SELECT FROM ${TRUNCATED} WHERE schema_name = $1 AND relation_name = $2) AS truncated,
       pg_backend_pid() AS pid`,
    [relation.schema, relation.name],
  );
  return rows[0] as Pending;
}

async function replaceKeys(
  source: Client,
  target: Client,
  relation: Relation,
  { range, repeats = true, lookups = false }: Portion,
  options: RowOptions,
): Promise<number> {
  const { columns } = keyOf(relation);
  const names = identList(columns.map((column) => column.name));
  const within = (alias: string): string => (range === undefined ? 'true' : rangeCondition(relation, range, alias));
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

/** After a TRUNCATE the keys that went are unknown, so the relation is copied whole. */
async function replaceAll(source: Client, target: Client, relation: Relation, options: RowOptions): Promise<number> {
  const { rowCount } = await target.query(`DELETE FROM ONLY ${relation.sql}`);
  const inserted = await copyRows(source, select(relation, 'true'), target, destination(relation), options);
  return Math.max(rowCount ?? 0, inserted, 1);
}

const columnList = (relation: Relation): string => identList(copiedColumns(relation).map((column) => column.name));

const select = (relation: Relation, condition: string): string =>
  `SELECT ${columnList(relation)} FROM ONLY ${relation.sql} AS t WHERE ${condition}`;

const destination = (relation: Relation): string => `${relation.sql} (${columnList(relation)})`;

/** Deletes what this snapshot shows and nothing else: a change made since is invisible here and stays. */
async function forget(
  source: Client,
  relation: Relation,
  range: KeyRange | undefined,
  dirty: DirtyKeys | undefined,
): Promise<void> {
  const within = range === undefined ? '' : ` WHERE ${rangeCondition(relation, range, 'd')}`;
  const deletion = `DELETE FROM ${queueOf(relation)} AS d${within}`;
  await (dirty ? dirty.forget(source, relation, deletion) : source.query(deletion));
  if (range !== undefined) return;
  await source.query(`DELETE FROM ${TRUNCATED} WHERE schema_name = $1 AND relation_name = $2`, [
    relation.schema,
    relation.name,
  ]);
}
