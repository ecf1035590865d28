import type { Client } from 'pg';
import { queueOf } from '../capture/names';
import { TRUNCATED } from '../capture/objects';
import { UNBRAKED, type Paced } from '../brake/paced';
import { rangeCondition, type KeyRange } from '../catalog/key-order';
import type { Relation } from '../catalog/relations';
import type { Lease } from '../lease';
import { literal } from '../sql';
import type { DirtyKeys } from '../verify/dirty/dirty-keys';
import type { CopyFormat } from '../copy/format';
import { GivenBack, givingWay } from '../copy/give-way';
import { PipeBroken } from '../copy/pipe';
import { oneLine } from '../errors';
import { isLost } from '../lost';
import { beginReading } from './begin-reading';
import type { CopyAnew } from './copy-anew';
import { filesOf, type Exported } from './exported';
import { explain, isWorthRepeating, type AskSource } from './explain';
import { insertRange, replaceAll, replaceKeys, type Keys } from './replace';

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

/** Keys of a range and rows in the order of their index are merged: that needs a quarter less of a core than hashing. */
const MERGED = 'SET LOCAL enable_hashjoin = off';

/** What is applied at once. */
export interface Portion extends Keys {
  /** A snapshot to apply to; a relation that was rewritten since is left as it is. @default the newest one */
  readonly snapshot?: Exported | undefined;
  /** Of a relation that is copied anew in parts, of which the range is one. @default a truncated one is copied whole */
  readonly anew?: CopyAnew | undefined;
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
 * relation that was truncated is left to a portion without one, or to the parts in which it is copied anew. Throws
 * GivenBack when the source needs its lock or its snapshot, or a session was ended; both are to be closed then.
 */
export async function applyChanges(
  sessions: Sessions,
  lease: Lease,
  relation: Relation,
  portion: Portion = {},
): Promise<number> {
  await portion.anew?.clear(sessions.target, lease);
  const applied = await repeated(sessions, lease, relation, portion);
  await portion.anew?.partDone(sessions.source, sessions.dirty);
  return applied;
}

async function repeated(sessions: Sessions, lease: Lease, relation: Relation, portion: Portion): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const at: Progress = {};
    try {
      return await once(sessions, lease, relation, portion, at);
    } catch (error) {
      // The target has this snapshot either way, under which what was deleted since cannot be forgotten once more.
      if (portion.snapshot !== undefined && at.applied !== undefined && isLost(error)) return at.applied;
      if (sessions.brake && isLost(error) && isRepeatable(portion, at)) {
        throw new GivenBack(`its session was ended: ${oneLine(error)}`);
      }
      if (error instanceof PipeBroken || !isWorthRepeating(error) || attempt === ATTEMPTS) {
        throw await explain(relation, error, portion.range, sessions.ask);
      }
      await Promise.all([sessions.source.query('ROLLBACK'), sessions.target.query('ROLLBACK')]);
    }
  }
}

/** How far a portion is. */
interface Progress {
  /** The target's COMMIT: whether it has been sent, or answered. */
  commit?: 'sent' | 'done';
  /** The keys applied, once the COMMIT by which the source forgets them has been sent. */
  applied?: number;
}

/**
 * Whether a portion may be applied once more after the loss of a session. A COMMIT that had no answer may still be on its
 * way: who holds the lease alone waits for it, and who holds it with others does not. A part has no rows to replace.
 */
const isRepeatable = ({ range, anew }: Portion, { commit }: Progress): boolean =>
  commit === undefined || (commit === 'sent' ? range === undefined : anew === undefined);

async function once(
  { source, target, dirty, brake = UNBRAKED }: Sessions,
  lease: Lease,
  relation: Relation,
  portion: Portion,
  at: Progress,
): Promise<number> {
  const { snapshot, range, format, anew } = portion;
  if (!anew && isIdle(await pending(source, relation))) return 0;
  await target.query('BEGIN');
  await target.query(`SET LOCAL session_replication_role = 'replica'`);
  // Before the snapshot: else whoever held it meanwhile may have applied, and forgotten, more than this snapshot shows.
  await lease.hold(target, relation, range === undefined ? 'alone' : 'others');
  await beginReading(source, [relation], 'wait');
  if (snapshot !== undefined) await source.query(`SET TRANSACTION SNAPSHOT ${literal(snapshot.name)}`);
  if (range !== undefined) await Promise.all([source.query(MERGED), target.query(MERGED)]);
  const work = await pending(source, relation);
  const isRewritten = snapshot !== undefined && snapshot.files.get(relation.sql) !== work.files;
  if (isRewritten || (!anew && (isIdle(work) || (work.truncated && range !== undefined)))) {
    await Promise.all([source.query('COMMIT'), target.query('COMMIT')]);
    return 0;
  }
  const applied = await givingWay(brake, work.pid, (signal) => {
    const options = { format, onBytes: brake.wait, signal };
    if (anew) return insertRange(source, target, relation, range, options);
    return work.truncated
      ? replaceAll(source, target, relation, options)
      : replaceKeys(source, target, relation, portion, options);
  });
  at.commit = 'sent';
  await target.query('COMMIT');
  at.commit = 'done';
  // A relation that is copied anew is compared again as a whole; and it may have no key.
  await forget(source, relation, range, anew || work.truncated ? undefined : dirty).catch((error: unknown) => {
    // The rows of a part are there, and cannot be inserted again; its changes stay, and are applied once more.
    if (!anew || !isWorthRepeating(error)) throw error;
  });
  if (work.truncated && !anew) await dirty?.markAll(relation);
  at.applied = applied;
  await source.query('COMMIT');
  return applied;
}

interface Pending {
  readonly changed: boolean;
  readonly truncated: boolean;
  /** Of the session on the source. */
  readonly pid: number;
  /** The files of the relation and its queue now, whatever the snapshot. */
  readonly files: string;
}

const isIdle = ({ changed, truncated }: Pending): boolean => !changed && !truncated;

async function pending(source: Client, relation: Relation): Promise<Pending> {
  const { rows } = await source.query(
    `SELECT EXISTS (SELECT FROM ${queueOf(relation)}) AS changed,
       EXISTS (SELECT FROM ${TRUNCATED} WHERE schema_name = $1 AND relation_name = $2) AS truncated,
       pg_backend_pid() AS pid, ${filesOf('$3::oid', '$4::text')} AS files`,
    [relation.schema, relation.name, relation.oid, queueOf(relation)],
  );
  return rows[0] as Pending;
}

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
