import type { Client } from 'pg';
import { TRUNCATE_TRIGGER } from '../bucardo/names';
import { readRelations, type Relation } from '../catalog/relations';
import { isExcluded } from '../catalog/schemas';
import type { Context } from '../context';
import { copiedRelations } from '../lease';
import { literal, sql } from '../sql';
import { CAPTURE_SCHEMA, DELTA_TRIGGER, deltaName } from './names';

/** Fact, in the state, of the triggers of each relation, by quoted name. */
export const CAPTURED_FACT = 'capture.triggers';

/**
 * Triggers of each captured relation, by quoted name: the delta trigger and the one of the first sync, each as its oid and
 * the transaction that wrote its row of pg_trigger. A trigger that is dropped and made anew has another oid; one that is
 * switched off, on or renamed has another transaction, which freezing leaves, and which a copy of the files has, too.
 * An older Ibex has kept the oid of the delta trigger alone.
 */
export type Captured = Readonly<Record<string, string>>;

/** What the source says of the triggers of one relation. */
interface Triggers {
  readonly delta: string | null;
  readonly deltaRow: string | null;
  readonly deltaEnabled: string | null;
  readonly deltaFunction: string | null;
  readonly truncate: string | null;
  readonly truncateRow: string | null;
  readonly truncateEnabled: string | null;
}

const TRIGGERS = sql`
  SELECT c.oid::int8 AS relation, d.oid::text AS delta, d.xmin::text AS "deltaRow", d.tgenabled AS "deltaEnabled",
    p.proname AS "deltaFunction", t.oid::text AS truncate, t.xmin::text AS "truncateRow", t.tgenabled AS "truncateEnabled"
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
  return remembered === undefined ? undefined : gapOf(relation, found, remembered);
}

/** Triggers as they are remembered. */
const kept = ({ delta, deltaRow, truncate, truncateRow }: Triggers): string =>
  `${delta}:${deltaRow} ${truncate}:${truncateRow}`;

const UNKNOWN = 'changes in between are not known';

/** What happened, since they were remembered, to triggers that stand. */
function gapOf(relation: Relation, found: Triggers, remembered: string): string | undefined {
  const [then, now] = [remembered.split(' '), kept(found).split(' ')];
  for (const [index, name] of [DELTA_TRIGGER, TRUNCATE_TRIGGER].entries()) {
    const [oid, row] = then[index]?.split(':') ?? [];
    const [oidNow, rowNow] = now[index]?.split(':') ?? [];
    const what = `trigger "${name}" of ${relation.sql} was`;
    if (oid !== undefined && oid !== oidNow) return `${what} dropped and made anew: ${UNKNOWN}`;
    if (row !== undefined && row !== rowNow)
      return `${what} switched off, on or otherwise altered since it was captured: ${UNKNOWN}`;
  }
  return undefined;
}

/**
 * What is wrong with the triggers of each relation, by quoted name, on a server that was copied from the source, and
 * whether they are others than those that are remembered, which only a copy of the files has.
 */
export async function triggersOf(
  client: Client,
  relations: readonly Relation[],
  remembered: Captured,
): Promise<Map<string, { readonly problem: string | undefined; readonly isOther: boolean }>> {
  const triggers = await readTriggers(client, relations);
  return new Map(
    relations.map((relation) => {
      const [found, known] = [triggers.get(relation.oid), remembered[relation.sql]];
      const problem = problemOf(relation, found, undefined);
      return [relation.sql, { problem, isOther: !found || known === undefined || !!gapOf(relation, found, known) }];
    }),
  );
}

/** Where each relation's capture stands: its triggers when complete, else what is wrong with it. */
export async function inspectCapture(
  context: Context,
  source: Client,
  relations: readonly Relation[],
): Promise<{ captured: Captured; problems: Map<string, string> }> {
  return inspect(context, source, relations, (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {});
}

/** What one look at everything that is captured or copied finds; all of it is of one reading of the source's tables. */
export interface CapturedLook {
  /** All tables of the application. */
  readonly relations: readonly Relation[];
  /**
   * Those that are copied, and so were captured before, and whose triggers stand: their changes are applied. Bucardo would
   * not start with any other.
   */
  readonly synced: readonly Relation[];
  /**
   * Those that are copied, but do not fill the queue of their name: other tables have the names now, and those of before may
   * go on filling the queues.
   */
  readonly strange: readonly Relation[];
  /** What is wrong with the capture of any that was ever captured or is copied, by quoted name. */
  readonly problems: ReadonlyMap<string, string>;
}

/**
 * Looks at all that was ever captured, and all that is copied: whoever looks while `add` is at work meets tables that are
 * captured and not copied yet, and such as are neither.
 */
export async function inspectCaptured(
  context: Context,
  { source, target }: { readonly source: Client; readonly target: Client },
): Promise<CapturedLook> {
  // Both before the tables: one that is captured, or copied, meanwhile is not taken for gone.
  const copied = await copiedRelations(target);
  const remembered = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const relations = await readRelations(source, context.config);
  const known = relations.filter(({ sql: name }) => remembered[name] !== undefined || copied.has(name));
  const { problems, broken, strange } = await inspect(context, source, known, remembered);
  const isCopied = ({ sql: name }: Relation): boolean => copied.has(name);
  return {
    relations,
    synced: relations.filter((relation) => isCopied(relation) && !broken.has(relation)),
    strange: strange.filter(isCopied),
    problems,
  };
}

/** What is said of a table, by quoted name, that is captured, and left out by the settings since. */
export const leftOutNow = (name: string): string =>
  `agent.excludeSchemas leaves out ${name}, which is captured: take that back`;

/** What is known of the capture of some relations. */
interface Inspected {
  readonly captured: Captured;
  readonly problems: Map<string, string>;
  /** Those whose triggers do not stand now, whatever was before. */
  readonly broken: ReadonlySet<Relation>;
  /** Those among them that do not call the function of their name. */
  readonly strange: readonly Relation[];
}

async function inspect(
  { config }: Context,
  source: Client,
  relations: readonly Relation[],
  remembered: Captured,
): Promise<Inspected> {
  const triggers = await readTriggers(source, relations);
  const captured: Record<string, string> = {};
  const problems = new Map<string, string>();
  const broken = new Set<Relation>();
  const strange: Relation[] = [];
  for (const relation of relations) {
    const found = triggers.get(relation.oid);
    if (problemOf(relation, found, undefined) !== undefined) broken.add(relation);
    if (found?.deltaFunction !== deltaName(relation.schema, relation.name)) strange.push(relation);
    const problem = problemOf(relation, found, remembered[relation.sql]);
    if (problem !== undefined) problems.set(relation.sql, problem);
    else if (found) captured[relation.sql] = kept(found);
  }
  const there = new Set(relations.map((relation) => relation.sql));
  for (const name of Object.keys(remembered)) {
    if (there.has(name)) continue;
    problems.set(name, isExcluded(config, name) ? leftOutNow(name) : `${name} was captured and is gone now`);
  }
  return { captured, problems, broken, strange };
}

/**
 * What is wrong with the capture of any relation, one line each; empty when every change is known.
 *
 * @param among looks at these alone, as far as they are still there. @default all, and those that are gone
 */
export async function checkCapture(context: Context, source: Client, among?: readonly Relation[]): Promise<string[]> {
  const all = await readRelations(source, context.config);
  const names = among && new Set(among.map((relation) => relation.sql));
  const relations = names === undefined ? all : all.filter((relation) => names.has(relation.sql));
  const { problems } = await inspectCapture(context, source, relations);
  const isLookedAt = (name: string): boolean => names === undefined || relations.some((each) => each.sql === name);
  const lines = [...problems].flatMap(([name, problem]) => (isLookedAt(name) ? [problem] : []));
  await context.evidence('capture in place', lines.length === 0, TRIGGERS, {
    relations: relations.length,
    problems: lines.slice(0, 20),
  });
  return lines;
}
