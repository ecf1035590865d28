import type { Client } from 'pg';
import { SYNC, truncateTrigger } from '../bucardo/names';
import type { Key, Relation } from '../catalog/relations';
import { hasSchema } from '../catalog/schemas';
import { Failure } from '../errors';
import { ident, identList, literal, qualified, sql } from '../sql';
import {
  CAPTURE_SCHEMA,
  DELTA_TRIGGER,
  deltaName,
  fitsIdentifier,
  QUEUE_COLUMNS,
  queueOf,
  stageName,
  trackOf,
  truncateName,
} from './names';

/** Table of relations that were truncated and not yet copied anew. */
export const TRUNCATED = qualified(CAPTURE_SCHEMA, 'ibex_truncated');

/**
 * A stamp of its own for each transaction: Bucardo matches what it has applied by this value alone, and with its own
 * default, now(), two transactions that begin in one microsecond are taken for one and rows are lost (Bucardo issue
 * 216). A timestamptz counts microseconds, so each transaction id is a different one.
 */
const STAMP = `timestamptz '2000-01-01 00:00:00+00' + txid_current() * interval '1 microsecond'`;

/** Vacuum and analyze by count, not by share: a queue is never large for long, and its statistics steer Bucardo. */
const QUEUE_STORAGE =
  'autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000';

/** Functions of ours run with their owner's rights, so they find names nowhere but in pg_catalog. */
const DEFINER = 'LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp';

/** What all relations share; none of it locks a table of the application. */
export async function installShared(source: Client): Promise<void> {
  await source.query('SET client_min_messages = warning');
  if (!(await hasSchema(source, CAPTURE_SCHEMA))) await source.query(`CREATE SCHEMA ${ident(CAPTURE_SCHEMA)}`);
  await source.query(sql`
    CREATE TABLE IF NOT EXISTS ${TRUNCATED} (
      schema_name text NOT NULL,
      relation_name text NOT NULL,
      captured_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
}

const truncateFunction = ({ schema, name }: Pick<Relation, 'schema' | 'name'>): string =>
  qualified(CAPTURE_SCHEMA, truncateName(schema, name));

/**
 * The statement that makes the function which notes that a relation was truncated. Each has its own, since whoever does not
 * own the table can take the trigger off only by dropping its function, which locks every table that has it.
 */
export const truncateFunctionStatement = (relation: Pick<Relation, 'schema' | 'name'>): string => sql`
  CREATE OR REPLACE FUNCTION ${truncateFunction(relation)}() RETURNS trigger ${DEFINER} AS $function$
  BEGIN
    INSERT INTO ${TRUNCATED} (schema_name, relation_name) VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME);
    RETURN NULL;
  END
  $function$`;

/** The key of a relation. Throws Failure for one that has none, which assess should have refused. */
export function keyOf(relation: Relation): Key {
  if (relation.key === undefined || relation.key.unusable !== undefined) {
    throw new Failure(
      `${relation.sql} has no usable key (${relation.key?.unusable ?? 'no primary key'}); add a primary key, or exclude its schema`,
    );
  }
  const taken = relation.key.columns.find((column) => QUEUE_COLUMNS.includes(column.name));
  if (taken)
    throw new Failure(`key column "${taken.name}" of ${relation.sql} has a name that capture needs; rename it`);
  return relation.key;
}

/**
 * The statements that make a relation's queue of changed keys and the function that fills it. Several are sent as one,
 * and so are one transaction: with thousands of tables, what counts is how often the source has to flush its log. The
 * queue's own are apart, since writers wait for them, and must not for those who hold the track.
 */
export function queueStatements(relation: Relation): string[] {
  const { columns } = keyOf(relation);
  const name = deltaName(relation.schema, relation.name);
  if (!fitsIdentifier(name)) {
    throw new Failure(`${relation.sql} would be captured as "${name}", which is too long; give it a shorter name`);
  }
  const queue = qualified(CAPTURE_SCHEMA, name);
  const track = trackOf(relation);
  const stage = qualified(CAPTURE_SCHEMA, stageName(relation.schema, relation.name));
  const index = (kind: string): string => ident(name.replace(/^delta/, kind));
  const names = identList(columns.map((column) => column.name));
  const ofQueue = [
    sql`
      CREATE TABLE IF NOT EXISTS ${queue} (
        ${columns.map((column) => `${ident(column.name)} ${column.type}`).join(', ')},
        txntime timestamptz NOT NULL DEFAULT ${STAMP},
        captured_at timestamptz NOT NULL DEFAULT clock_timestamp()) WITH (${QUEUE_STORAGE})`,
    `CREATE INDEX IF NOT EXISTS ${index('dex1')} ON ${queue} (txntime)`,
    `CREATE INDEX IF NOT EXISTS ${index('dex2')} ON ${queue} (${names})`,
  ];
  const others = [
    `CREATE TABLE IF NOT EXISTS ${track} (txntime timestamptz, target text) WITH (${QUEUE_STORAGE})`,
    `CREATE INDEX IF NOT EXISTS ${index('dex3')} ON ${track} (target text_pattern_ops, txntime)`,
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${stage} (txntime timestamptz, target text)`,
    truncateFunctionStatement(relation),
    keyFunctionStatement(relation),
  ];
  return [ofQueue.join(';\n'), others.join(';\n')];
}

/** The statement that makes the function which puts the key of each changed row into the relation's queue. */
export function keyFunctionStatement(relation: Relation): string {
  const { columns } = keyOf(relation);
  const queue = queueOf(relation);
  const names = identList(columns.map((column) => column.name));
  const values = (row: 'NEW' | 'OLD'): string => columns.map((column) => `${row}.${ident(column.name)}`).join(', ');
  const same = columns.map(({ name, equals }) => `OLD.${ident(name)} ${equals} NEW.${ident(name)}`).join(' AND ');
  return sql`
    CREATE OR REPLACE FUNCTION ${queue}() RETURNS trigger ${DEFINER} AS $function$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        INSERT INTO ${queue} (${names}) VALUES (${values('NEW')});
      ELSE
        INSERT INTO ${queue} (${names}) VALUES (${values('OLD')});
        IF TG_OP = 'UPDATE' AND NOT (${same}) THEN
          INSERT INTO ${queue} (${names}) VALUES (${values('NEW')});
        END IF;
      END IF;
      RETURN NULL;
    END
    $function$`;
}

/** What the function of a relation without a usable key says of itself. */
export const ONLY_MARKS = 'each change marks the whole relation';

/**
 * The statement that has each transaction which changes rows mark the relation to be copied anew: for one whose key
 * cannot be noted any more. A mark of another transaction does not do, since it may be forgotten before this one commits.
 */
export const markFunctionStatement = (relation: Relation): string => sql`
  CREATE OR REPLACE FUNCTION ${queueOf(relation)}() RETURNS trigger ${DEFINER} AS $function$
  -- ${ONLY_MARKS}
  BEGIN
    IF current_setting('ibex.marked', true) IS DISTINCT FROM concat(TG_RELID, ' ', txid_current()) THEN
      INSERT INTO ${TRUNCATED} (schema_name, relation_name) VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME);
      PERFORM set_config('ibex.marked', concat(TG_RELID, ' ', txid_current()), true);
    END IF;
    RETURN NULL;
  END
  $function$`;

/** The statement that marks a relation to be copied anew. */
export const markStatement = ({ schema, name }: Relation): string =>
  `INSERT INTO ${TRUNCATED} (schema_name, relation_name) VALUES (${literal(schema)}, ${literal(name)})`;

/** The statement that lets a relation be in a sync: Bucardo would make a trigger of its own where it finds none of ours. */
export const truncateStatement = (relation: Relation, sync: string): string => sql`
  CREATE TRIGGER ${ident(truncateTrigger(sync))} AFTER TRUNCATE ON ${relation.sql}
  FOR EACH STATEMENT EXECUTE PROCEDURE ${truncateFunction(relation)}()`;

/**
 * The statements that begin the capture of a relation; each waits for every writer of it.
 *
 * @param syncs names of the syncs that the relation may come to be in. @default the first
 */
export function triggerStatements(relation: Relation, syncs: readonly string[] = [SYNC]): string[] {
  const queue = queueOf(relation);
  return [
    ...syncs.map((sync) => truncateStatement(relation, sync)),
    sql`
      CREATE TRIGGER ${ident(DELTA_TRIGGER)} AFTER INSERT OR UPDATE OR DELETE ON ${relation.sql}
      FOR EACH ROW EXECUTE PROCEDURE ${queue}()`,
  ];
}
