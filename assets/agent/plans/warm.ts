import type { Client } from 'pg';
import { hiddenSchemas, isApplicationSchema } from '../catalog/schemas';
import type { Context } from '../context';
import { oneLine } from '../errors';
import { ident, qualified, sql } from '../sql';
import type { PlansConfig } from './config';

/** A table or an index of the target. */
interface Warmed {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly isIndex: boolean;
  readonly bytes: number;
}

/** What is in the target's memory now, as far as we put it there. */
export interface WarmOutcome {
  /** `pg_prewarm`, or `reading`: tables are read through, and indexes are not warmed. */
  readonly by: 'pg_prewarm' | 'reading';
  readonly relations: number;
  readonly bytes: number;
  /** How much was allowed; bytes. */
  readonly budget: number;
  /** What did not fit. */
  readonly left: number;
  /** What could not be read, and why. */
  readonly problems: readonly string[];
}

const RELATIONS = sql`
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'i' AS "isIndex",
    pg_relation_size(c.oid)::float8 AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'i') AND ${isApplicationSchema('n.nspname', '$1')} AND pg_relation_size(c.oid) > 0
  ORDER BY 5, 2, 3`;

/** Blocks that were asked for, from memory or disk, since the statistics began. */
const HEAT = sql`
  SELECT schemaname AS schema, relname AS name, (heap_blks_hit + heap_blks_read)::float8 AS blocks FROM pg_statio_all_tables
  UNION ALL
  SELECT schemaname, indexrelname, (idx_blks_hit + idx_blks_read)::float8 FROM pg_statio_all_indexes`;

const BUFFERS = `SELECT pg_size_bytes(current_setting('shared_buffers'))::float8 AS bytes`;

const PREWARM = sql`
  SELECT (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_prewarm')
    AS installed, EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm') AS available`;

/**
 * Reads tables and indexes into the target's memory, until the budget is spent; what does not fit whole is passed over.
 * Leaves nothing else behind, wherever it ends: an extension that is made for it is rolled back.
 */
export async function warmTarget(context: Context, source: Client, target: Client): Promise<WarmOutcome | undefined> {
  const { plans } = context.config;
  if (plans.warm === 'off') return undefined;
  const relations = await inOrder(context, source, target, plans.warm);
  const budget = await budgetOf(target, plans);
  await target.query('BEGIN READ WRITE');
  try {
    const prewarm = await prewarmOf(target);
    const readable = prewarm === undefined ? relations.filter(({ isIndex }) => !isIndex) : relations;
    if (prewarm === undefined) await target.query('SET LOCAL enable_indexonlyscan = off');
    const problems: string[] = [];
    let [bytes, warmed, left] = [0, 0, 0];
    for (const relation of readable) {
      if (bytes + relation.bytes > budget) {
        left += 1;
        continue;
      }
      context.progress.report(bytes, budget, 'bytes', `warming ${relation.name}`);
      const problem = await read(target, prewarm, relation);
      if (problem !== undefined) problems.push(`${qualified(relation.schema, relation.name)}: ${problem}`);
      else {
        bytes += relation.bytes;
        warmed += 1;
      }
    }
    const by = prewarm === undefined ? 'reading' : 'pg_prewarm';
    return { by, relations: warmed, bytes, budget, left, problems };
  } finally {
    await target.query('ROLLBACK');
  }
}

async function inOrder(
  { config }: Context,
  source: Client,
  target: Client,
  order: 'size' | 'heat',
): Promise<readonly Warmed[]> {
  const relations = (await target.query(RELATIONS, [hiddenSchemas(config)])).rows as Warmed[];
  if (order === 'size') return relations;
  const { rows } = await source.query(HEAT);
  const heat = new Map(
    (rows as { schema: string; name: string; blocks: number }[]).map((one) => [
      qualified(one.schema, one.name),
      one.blocks,
    ]),
  );
  const of = ({ schema, name }: Warmed): number => heat.get(qualified(schema, name)) ?? 0;
  return relations.filter((one) => of(one) > 0).toSorted((a, b) => of(b) - of(a));
}

async function budgetOf(target: Client, { warmMegabytes }: PlansConfig): Promise<number> {
  if (warmMegabytes > 0) return warmMegabytes * 1_000_000;
  return ((await target.query(BUFFERS)).rows[0] as { bytes: number }).bytes;
}

/** The function, as SQL; undefined where it cannot be had. */
async function prewarmOf(target: Client): Promise<string | undefined> {
  const { installed, available } = (await target.query(PREWARM)).rows[0] as {
    installed: string | null;
    available: boolean;
  };
  if (installed !== null) return qualified(installed, 'pg_prewarm');
  if (!available) return undefined;
  const refused = await aside(target, `CREATE EXTENSION pg_prewarm SCHEMA ${ident('public')}`);
  return refused === undefined ? qualified('public', 'pg_prewarm') : undefined;
}

async function read(target: Client, prewarm: string | undefined, relation: Warmed): Promise<string | undefined> {
  if (prewarm !== undefined) return aside(target, `SELECT ${prewarm}($1::oid::regclass)`, [relation.oid]);
  return aside(target, `SELECT count(*) FROM ONLY ${qualified(relation.schema, relation.name)}`);
}

/** Returns why it was refused, or undefined. */
async function aside(target: Client, statement: string, values: readonly unknown[] = []): Promise<string | undefined> {
  await target.query('SAVEPOINT aside');
  try {
    await target.query(statement, [...values]);
    return undefined;
  } catch (error) {
    await target.query('ROLLBACK TO SAVEPOINT aside');
    return oneLine(error);
  }
}
