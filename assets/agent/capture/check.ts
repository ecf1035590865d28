import type { Client } from 'pg';
import { TRUNCATE_TRIGGER } from '../bucardo/names';
import { readRelations, type Relation } from '../catalog/relations';
import type { Context } from '../context';
import { literal, sql } from '../sql';
import { CAPTURE_SCHEMA, DELTA_TRIGGER, deltaName } from './names';

/** Fact, in the state, of the delta trigger of each relation, by quoted name. */
export const CAPTURED_FACT = 'capture.triggers';

/** Delta trigger of each captured relation, by quoted name: a dropped and remade trigger has another oid. */
export type Captured = Readonly<Record<string, string>>;

/** What the source says of the triggers of one relation. */
interface Triggers {
  readonly delta: string | null;
  readonly deltaEnabled: string | null;
  readonly deltaFunction: string | null;
  readonly truncateEnabled: string | null;
}

const TRIGGERS = sql`
  SELECT c.oid::int8 AS relation, d.oid::text AS delta, d.tgenabled AS "deltaEnabled", p.proname AS "deltaFunction",
    t.tgenabled AS "truncateEnabled"
  FROM pg_class c
  LEFT JOIN pg_trigger d ON d.tgrelid = c.oid AND d.tgname = ${literal(DELTA_TRIGGER)} AND NOT d.tgisinternal
  LEFT JOIN pg_proc p ON p.oid = d.tgfoid
    AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = ${literal(CAPTURE_SCHEMA)})
  LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = ${literal(TRUNCATE_TRIGGER)} AND NOT t.tgisinternal
  WHERE c.oid = ANY ($1::oid[])`;

async function readTriggers(source: Client, relations: readonly Relation[]): Promise<Map<number, Triggers>> {
  const { rows } = await source.query(TRIGGERS, [relations.map((relation) => relation.oid)]);
  return new Map((rows as (Triggers & { relation: string })[]).map((row) => [Number(row.relation), row]));
}

function problemOf(
  relation: Relation,
  found: Triggers | undefined,
  remembered: string | undefined,
): string | undefined {
  if (!found?.delta) return `${relation.sql} has no trigger "${DELTA_TRIGGER}"`;
  if (found.deltaFunction !== deltaName(relation.schema, relation.name)) {
    return `trigger "${DELTA_TRIGGER}" of ${relation.sql} does not call our function`;
  }
  if (found.deltaEnabled !== 'O' && found.deltaEnabled !== 'A')
    return `trigger "${DELTA_TRIGGER}" of ${relation.sql} is disabled`;
  if (found.truncateEnabled !== 'O' && found.truncateEnabled !== 'A') {
    return `trigger "${TRUNCATE_TRIGGER}" of ${relation.sql} is missing or disabled`;
  }
  if (remembered !== undefined && remembered !== found.delta) {
    return `trigger "${DELTA_TRIGGER}" of ${relation.sql} was dropped and made anew: changes in between are not known`;
  }
  return undefined;
}

/** Delta trigger of each relation, by quoted name, and what is wrong with its capture, whichever server holds it. */
export async function triggersOf(
  client: Client,
  relations: readonly Relation[],
): Promise<Map<string, { readonly delta: string | undefined; readonly problem: string | undefined }>> {
  const triggers = await readTriggers(client, relations);
  return new Map(
    relations.map((relation) => {
      const found = triggers.get(relation.oid);
      return [relation.sql, { delta: found?.delta ?? undefined, problem: problemOf(relation, found, undefined) }];
    }),
  );
}

/** Where each relation's capture stands: the trigger's oid when complete, else what is wrong with it. */
export async function inspectCapture(
  context: Context,
  source: Client,
  relations: readonly Relation[],
): Promise<{ captured: Captured; problems: Map<string, string> }> {
  const triggers = await readTriggers(source, relations);
  const remembered = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const captured: Record<string, string> = {};
  const problems = new Map<string, string>();
  for (const relation of relations) {
    const found = triggers.get(relation.oid);
    const problem = problemOf(relation, found, remembered[relation.sql]);
    if (problem !== undefined) problems.set(relation.sql, problem);
    else captured[relation.sql] = found?.delta ?? '';
  }
  for (const name of Object.keys(remembered)) {
    if (!relations.some((relation) => relation.sql === name))
      problems.set(name, `${name} was captured and is gone now`);
  }
  return { captured, problems };
}

/** What is wrong with the capture of any relation, one line each; empty when every change is known. */
export async function checkCapture(context: Context, source: Client): Promise<string[]> {
  const relations = await readRelations(source, context.config);
  const { problems } = await inspectCapture(context, source, relations);
  const lines = [...problems.values()];
  await context.evidence('capture in place', lines.length === 0, TRIGGERS, {
    relations: relations.length,
    problems: lines.slice(0, 20),
  });
  return lines;
}
