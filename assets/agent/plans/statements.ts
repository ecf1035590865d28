import { readFileSync } from 'node:fs';
import type { Client } from 'pg';
import { Failure, oneLine } from '../errors';
import { qualified, sql } from '../sql';
import type { PlansConfig } from './config';
import { publicText } from './public-text';

/** A statement of the application. */
export interface Statement {
  /** The queryid of pg_stat_statements, or the name in the file. */
  readonly id: string;
  readonly text: string;
  /** What reports show. */
  readonly shown: string;
  /** Who runs it. @default our login */
  readonly role?: string;
  /** @default the role's, else the database's, else PostgreSQL's */
  readonly searchPath?: string;
  /** Values of its parameters, as text. @default sampled from the statistics of the columns */
  readonly values?: readonly (string | null)[];
  /** How often it ran and how long in all, as pg_stat_statements has counted. @default unknown */
  readonly calls?: number;
  readonly totalMs?: number;
}

/** What can be prepared, and so planned. */
const PLANNED = /^(select|with|insert|update|delete|values|table|merge)\b/i;

/** Statements of ours and of whoever only looks at the server. */
const OURS = `(s.query ~* '\\m(ibex|bucardo)\\M' OR s.query ~* '\\mpg_(stat|catalog|class|locks)')`;

/**
 * Where pg_stat_statements is, by its extension's schema, since that need not be in anybody's search path; and the name of
 * the time, which 13 has split into planning and execution.
 */
const FIND = sql`
  SELECT n.nspname AS schema, v.relname AS name,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = v.oid AND a.attname = 'total_exec_time') AS split
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = 'pg_stat_statements'
  WHERE e.extname = 'pg_stat_statements'`;

const COSTLY = (view: string, time: string): string => sql`
  SELECT s.queryid::text AS id, min(s.query) AS text, r.rolname AS role, sum(s.calls)::float8 AS calls,
    sum(s.${time})::float8 AS "totalMs"
  FROM ${view} s JOIN pg_roles r ON r.oid = s.userid
  WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND s.queryid IS NOT NULL AND NOT ${OURS} AND s.query !~ '^<insufficient'
    AND (r.rolname <> current_user
      OR r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))
  GROUP BY s.queryid, r.rolname ORDER BY 5 DESC LIMIT $1`;

/** What was found, and why nothing more. */
export interface Found {
  readonly statements: readonly Statement[];
  /** Why pg_stat_statements gave nothing; absent when it did, or was not asked. */
  readonly without?: string;
}

/** The statements that are compared: the file's, then the most costly of the source. */
export async function readStatements(source: Client, config: PlansConfig): Promise<Found> {
  const ofFile = config.file === undefined ? [] : statementsOfFile(config.file);
  if (config.statements === 0) return { statements: ofFile };
  const found = await costliest(source, config.statements);
  return typeof found === 'string' ? { statements: ofFile, without: found } : { statements: [...ofFile, ...found] };
}

async function costliest(source: Client, limit: number): Promise<Statement[] | string> {
  const [view] = (await source.query(FIND)).rows as { schema: string; name: string; split: boolean }[];
  if (!view) return 'the extension pg_stat_statements is not in the source';
  const query = COSTLY(qualified(view.schema, view.name), view.split ? 'total_exec_time' : 'total_time');
  try {
    // Utility statements are among them, so some more are asked for.
    const { rows } = await source.query(query, [limit * 3]);
    return (rows as Required<Pick<Statement, 'id' | 'text' | 'role' | 'calls' | 'totalMs'>>[])
      .filter(({ text }) => PLANNED.test(text.replace(/^(\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)+/, '')))
      .slice(0, limit)
      .map((one) => ({ ...one, shown: publicText(one.text) }));
  } catch (error) {
    return `pg_stat_statements of the source cannot be read: ${oneLine(error)}`;
  }
}

/** Throws Failure that names the file and what is wrong with it. */
function statementsOfFile(file: string): Statement[] {
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Failure(`agent.plans.file ${file} cannot be read: ${oneLine(error)}; put it on the host`);
  }
  if (!Array.isArray(list)) throw new Failure(`agent.plans.file ${file} is no list of statements`);
  return list.map((one: unknown, index) => ofFile(file, index, one));
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';

function ofFile(file: string, index: number, entry: unknown): Statement {
  const { name, text, values, role, searchPath } = (entry ?? {}) as Record<string, unknown>;
  const wrong = (what: string): Failure => new Failure(`agent.plans.file ${file}, statement ${index + 1}: ${what}`);
  if (!isText(name) || !isText(text)) throw wrong('needs "name" and "text"');
  if (values !== undefined && !Array.isArray(values)) throw wrong('"values" must be a list');
  for (const each of [role, searchPath]) if (each !== undefined && !isText(each)) throw wrong('"role" and "searchPath" must be texts'); // prettier-ignore
  return {
    id: name,
    text: text.replace(/[\s;]+$/, ''),
    shown: name,
    ...(isText(role) && { role }),
    ...(isText(searchPath) && { searchPath }),
    ...(values && { values: (values as unknown[]).map((value) => (value === null ? null : String(value))) }),
  };
}
