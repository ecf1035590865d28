import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { guarded } from '../fence/transaction';
import { ident, literal, sql } from '../sql';
import { isBusy, waitGently } from './busy';
import { endHolders } from './end-holders';
import { CAPTURE_SCHEMA, deltaName, QUEUE_COLUMNS, queueOf } from './names';
import {
  keyFunctionStatement,
  keyOf,
  markFunctionStatement,
  markStatement,
  ONLY_MARKS,
  queueStatements,
} from './objects';

/** How long one statement may rewrite a queue, for which writers wait; milliseconds. A longer queue is emptied instead. */
const REWRITE_MS = 3_000;

/** A queue that the trigger cannot fill, or does not. */
interface Misfit {
  readonly relation: Relation;
  /** Columns of the queue's key, with the table's type; null for one that the table has no more. */
  readonly columns: readonly { readonly name: string; readonly type: string; readonly wanted: string | null }[];
  /** Whether each change marks the whole relation. */
  readonly marks: boolean;
}

/**
 * The function goes on with the types of yesterday as well, in every session that has called it. A queue that a table of
 * another name fills, since that was renamed and this one was made anew, is left as it is; one that nobody fills is mended
 * before it has a trigger.
 */
const MISFITS = sql`
  WITH q AS (
    SELECT r.oid, r.key, c.oid AS queue, coalesce(p.prosrc LIKE ${literal(`%${ONLY_MARKS}%`)}, false) AS marks
    FROM unnest($1::oid[], $2::name[], $4::jsonb[]) AS r (oid, name, key)
    JOIN pg_namespace n ON n.nspname = ${literal(CAPTURE_SCHEMA)}
    JOIN pg_class c ON c.relname = r.name AND c.relnamespace = n.oid AND c.relkind = 'r'
    LEFT JOIN pg_proc p ON p.proname = r.name AND p.pronamespace = n.oid
    WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid AND t.tgrelid <> r.oid))
  SELECT q.oid::int8 AS oid, q.marks,
    json_agg(json_build_object('name', k.attname, 'type', format_type(k.atttypid, k.atttypmod),
      'wanted', format_type(a.atttypid, a.atttypmod)) ORDER BY k.attnum) AS columns
  FROM q
  JOIN pg_attribute k ON k.attrelid = q.queue AND k.attnum > 0 AND NOT k.attisdropped AND k.attname <> ALL ($3::name[])
  LEFT JOIN pg_attribute a ON a.attrelid = q.oid AND a.attname = k.attname AND a.attnum > 0 AND NOT a.attisdropped
  GROUP BY q.oid, q.marks, q.key
  HAVING q.marks OR bool_or((k.atttypid, k.atttypmod) IS DISTINCT FROM (a.atttypid, a.atttypmod))
    OR NOT jsonb_agg(k.attname) @> q.key`;

async function misfits(source: Client, relations: readonly Relation[]): Promise<Misfit[]> {
  const byOid = new Map(relations.map((relation) => [relation.oid, relation]));
  const names = relations.map(({ schema, name }) => deltaName(schema, name));
  // Another unique index, of a table without a primary key, makes other columns the key. One that cannot serve is named.
  const keys = relations.map((each) => (isUsable(each) ? keyOf(each).columns.map(({ name }) => name) : []));
  const texts = keys.map((key) => JSON.stringify(key));
  const { rows } = await source.query(MISFITS, [[...byOid.keys()], names, QUEUE_COLUMNS, texts]);
  return (rows as (Omit<Misfit, 'relation'> & { oid: string })[]).flatMap(({ oid, ...row }) => {
    const relation = byOid.get(Number(oid));
    return relation ? [{ relation, ...row }] : [];
  });
}

/**
 * Mends the queues of tables whose key has changed: the trigger puts the new key into a column of the old type, which
 * the server refuses, and the application's write with it. No change is lost: where the keys noted so far cannot be kept,
 * or may have been rounded, the table is marked to be copied anew, as after a TRUNCATE; one whose key cannot be noted at
 * all is marked by each change. Each queue is locked for a moment, without sessions of ours that hold it; one that others
 * hold waits for the next look. Returns what was found and done, one line each, which is in the log and the evidence, too.
 */
export async function mendQueues(
  context: Context,
  source: Client,
  relations: readonly Relation[],
): Promise<readonly string[]> {
  const told: string[] = [];
  for (const misfit of await misfits(source, relations)) {
    const line = await mend(context, source, misfit);
    if (line !== undefined) told.push(line);
  }
  if (told.length === 0) return told;
  context.log.error({ queues: told }, 'keys have changed since capture');
  await context.evidence('queues fit their tables', false, MISFITS, told.slice(0, 20));
  return told;
}

/** What is to be run, in one transaction, and what is to be said of it then. */
interface Way {
  readonly statements: readonly string[];
  /** The queue, where they alter it. */
  readonly queue?: string;
  readonly done: string;
}

async function mend(context: Context, source: Client, misfit: Misfit): Promise<string | undefined> {
  const { relation } = misfit;
  const head = `the key of ${relation.sql} is not any more as it was captured (${differences(misfit)})`;
  const causes: string[] = [];
  for (const way of waysOf(misfit)) {
    try {
      await runAlone(source, way, context.config.capture.lockTimeoutMs);
      return `${head}: ${way.done}${causes.length > 0 ? ` (${causes.join('; ')})` : ''}`;
    } catch (error) {
      if (isBusy(error))
        return `${head}, and its queue is busy, so that writes of the table may fail; it is tried again`;
      causes.push(oneLine(error));
    }
  }
  return causes.length > 0 ? `${head}, and writes of the table may fail: ${causes.join('; ')}; undo it` : undefined;
}

function differences({ columns, marks }: Misfit): string {
  const other = columns.filter(({ type, wanted }) => type !== wanted);
  const texts = other.map(({ name, type, wanted }) => `"${name}" was ${type} and is ${wanted ?? 'gone'}`);
  return texts.length > 0 ? texts.join(', ') : marks ? 'it could not be noted' : 'it is another';
}

const ALIKE = 'make the target alike and start add';

/** What can be done, the best first; nothing where each change marks the relation already and must go on so. */
function waysOf({ relation, columns, marks }: Misfit): Way[] {
  const queue = queueOf(relation);
  const ways: Way[] = [];
  if (isUsable(relation)) {
    const known = keyOf(relation).columns.every(({ name }) => columns.some((column) => column.name === name));
    // Other types round or cut what they cannot hold, and the key of the change is another then.
    const refuses = columns.every(
      ({ type, wanted }) => wanted !== null && (type === wanted || ['smallint', 'integer', 'bigint'].includes(type)),
    );
    if (!marks && known && refuses) {
      const altered = columns.filter(({ type, wanted }) => type !== wanted);
      const actions = altered.map(
        ({ name, wanted }) => `ALTER COLUMN ${ident(name)} TYPE ${wanted} USING ${ident(name)}::${wanted}`,
      );
      ways.push({
        queue,
        statements: [`ALTER TABLE ${queue} ${actions.join(', ')}`, keyFunctionStatement(relation)],
        done: `its queue was altered alike; ${ALIKE}`,
      });
    }
    const actions = [
      ...columns.map(({ name }) => `DROP COLUMN ${ident(name)}`),
      ...keyOf(relation).columns.map(({ name, type }) => `ADD COLUMN ${ident(name)} ${type}`),
    ];
    ways.push({
      queue,
      statements: [
        `TRUNCATE ${queue}`,
        `ALTER TABLE ${queue} ${actions.join(', ')}`,
        ...queueStatements(relation),
        markStatement(relation),
      ],
      done: `its queue was made anew, and the table is copied anew by catch-up; ${ALIKE}`,
    });
  }
  if (!marks) {
    ways.push({
      statements: [markFunctionStatement(relation), markStatement(relation)],
      done: 'from now on each change has the whole table copied anew; give it a usable key, or run cleanup and migrate again',
    });
  }
  return ways;
}

function isUsable(relation: Relation): boolean {
  try {
    keyOf(relation);
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** Once more without those of ours who hold the queue, if any do: they may be at work for hours, while writes are refused. */
async function runAlone(source: Client, way: Way, lockTimeoutMs: number): Promise<void> {
  try {
    await run(source, way, lockTimeoutMs);
  } catch (error) {
    if (!isBusy(error) || way.queue === undefined || !(await endHolders(source, way.queue, lockTimeoutMs))) throw error;
    await run(source, way, lockTimeoutMs);
  }
}

async function run(source: Client, { statements, queue }: Way, lockTimeoutMs: number): Promise<void> {
  await guarded(source, async () => {
    if (queue !== undefined) await waitGently(source, queue, lockTimeoutMs);
    await source.query(`SET LOCAL statement_timeout = ${REWRITE_MS}`);
    for (const statement of statements) await source.query(statement);
  });
}
