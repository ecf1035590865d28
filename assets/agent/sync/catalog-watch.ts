import type { Client } from 'pg';
import { bypassWatch } from '../assess/bypass';
import { markStatement } from '../capture/objects';
import { readRelations, type Relation } from '../catalog/relations';
import { hiddenSchemas, isApplicationSchema, isExcluded } from '../catalog/schemas';
import type { Context } from '../context';
import type { Direction } from '../endpoints';
import { Failure } from '../errors';
import { columnDifferences } from '../schema/same-columns';
import { ident, sql } from '../sql';
import { compareCatalogs } from '../verify/compare-catalogs';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import type { Ends } from './applier';
import { CATALOG_FACT } from './facts';

/** Fact of the source's tables as capture found them. */
export const BASELINE_FACT = 'catalog.baseline';

/** What is watched of one table, as text that only changes when the thing does. */
export interface WatchedTable {
  readonly oid: string;
  /** Columns with their types and NOT NULL. */
  readonly columns: string;
  /** The primary key's columns, behind the oid of its index, which is another after REINDEX CONCURRENTLY. */
  readonly key: string;
  /** Tables that it is a partition or child of. */
  readonly parents: string;
  /** Those among them that are no partitioned tables, and show its rows as their own. Absent as below. */
  readonly inherits?: string;
  /** The file with its rows; null for one without. */
  readonly file: string | null;
  /** Newest transaction that changed a column's definition. */
  readonly altered: string;
  /** Defaults, generation expressions and identities of its columns; absent where an older Ibex has kept the table. */
  readonly defaults?: string;
  /** Numbers of its columns (attnum): one that is dropped and added again has another. Absent as above. */
  readonly numbers?: string;
}

/** Tables by quoted name. */
export type WatchedTables = Readonly<Record<string, WatchedTable>>;

const TABLES = sql`
  WITH t AS (
    SELECT c.oid, n.nspname, c.relname, c.relfilenode, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND ${isApplicationSchema('n.nspname', '$1')}
      AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
  a AS (
    SELECT a.attrelid, md5(string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' ORDER BY a.attnum)) AS columns,
      md5(string_agg(a.xmin::text, ',' ORDER BY a.attnum)) AS altered,
      string_agg(a.attnum::text, ' ' ORDER BY a.attnum) AS numbers
    FROM pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM t) GROUP BY 1),
  d AS (
    SELECT a.attrelid, md5(string_agg(concat_ws(' ', a.attname, a.attidentity, 
      regexp_replace(f.adbin::text, ':location -?\\d+', '', 'g')), ',' ORDER BY a.attnum)) AS defaults
    FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE (f.adbin IS NOT NULL OR a.attidentity <> '') AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM t) GROUP BY 1),
  k AS (SELECT indrelid, concat_ws(' ', indexrelid, indkey) AS key FROM pg_index WHERE indisprimary),
  h AS (
    SELECT h.inhrelid, string_agg(h.inhparent::text, ' ' ORDER BY h.inhseqno) AS parents,
      string_agg(h.inhparent::text, ' ' ORDER BY h.inhseqno) FILTER (WHERE p.relkind <> 'p') AS inherits
    FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent GROUP BY 1)
  SELECT t.nspname AS schema, t.relname AS name, t.oid::text AS oid, coalesce(a.columns, '') AS columns,
    coalesce(a.altered, '') AS altered, coalesce(a.numbers, '') AS numbers, coalesce(d.defaults, '') AS defaults,
    coalesce(k.key, '') AS key, coalesce(h.parents, '') AS parents,
    coalesce(h.inherits, '') AS inherits, nullif(t.relfilenode, 0)::text AS file
  FROM t LEFT JOIN a ON a.attrelid = t.oid LEFT JOIN d ON d.attrelid = t.oid LEFT JOIN k ON k.indrelid = t.oid LEFT JOIN h ON h.inhrelid = t.oid`;

/** Reads the fingerprint of every table of the application that is not left out, in one statement. */
export async function readTables(context: Context, source: Client): Promise<WatchedTables> {
  const { rows } = await source.query(TABLES, [hiddenSchemas(context.config)]);
  const tables = (rows as (WatchedTable & { schema: string; name: string })[]).map(
    ({ schema, name, ...table }) => [`${ident(schema)}.${ident(name)}`, table] as const,
  );
  return Object.fromEntries(tables.filter(([name]) => !context.config.leftOut?.includes(name)));
}

/** Keeps the tables as they are now, once capture is in place; those that are known already stay as they were. */
export async function keepCatalog(context: Context, source: Client): Promise<void> {
  const known = (await context.state.fact<WatchedTables>(BASELINE_FACT)) ?? {};
  const now = await readTables(context, source);
  const present = Object.entries(known).filter(([name]) => now[name] !== undefined);
  await context.state.setFact(BASELINE_FACT, { ...now, ...Object.fromEntries(present) });
}

/** The tables, by quoted name, that are watched. */
export async function knownTables(context: Context): Promise<string[]> {
  return Object.keys((await context.state.fact<WatchedTables>(BASELINE_FACT)) ?? {});
}

/** Watches over these tables no more. */
export async function forgetTables(context: Context, names: readonly string[]): Promise<void> {
  const known = (await context.state.fact<WatchedTables>(BASELINE_FACT)) ?? {};
  const kept = Object.entries(known).filter(([name]) => !names.includes(name));
  await context.state.setFact(BASELINE_FACT, Object.fromEntries(kept));
}

/** What can be done about a change, by what it was. */
const WAYS_ON = {
  forward: {
    appeared: 'start add, or drop it',
    altered: 'undo it, or make the target alike and start add',
    otherwise: 'undo it, or run cleanup and migrate again',
    gone: 'drop it on the target too and start add, or run cleanup and migrate again',
  },
  back: {
    appeared: 'drop it, or name it in agent.cutover.wayBackWithout',
    altered: 'undo it, or make the source alike and wait',
    otherwise: 'undo it, or make the source alike and wait',
    gone: 'what it held cannot go back',
  },
} satisfies Record<Direction, object>;

/**
 * Takes altered tables for good that are alike on both ends now, and keeps them as they are from here on. What an ALTER
 * TABLE does to rows, no trigger sees: a table that was rewritten, or whose added columns may have other values on the
 * target, is marked to be copied anew, as after a TRUNCATE, and each is to be compared as a whole again, unless only its
 * defaults are others. One that was attached or detached holds the rows that it held. Returns their names.
 *
 * @param first what is to be done before anything is taken for good, when there are any
 */
export async function acceptAltered(
  context: Context,
  ends: Ends,
  relations: readonly Relation[],
  first: () => Promise<unknown>,
): Promise<string[]> {
  const known = (await context.state.fact<WatchedTables>(BASELINE_FACT)) ?? {};
  const now = await readTables(context, ends.source);
  const altered = Object.entries(now).filter(([name, table]) => {
    const old = known[name];
    return old !== undefined && isAltered(old, table) && differenceOf(old, table) !== undefined;
  });
  if (altered.length === 0) return [];
  const own = relations.filter((relation) => altered.some(([name]) => name === relation.sql));
  const differences = columnDifferences(own, await readRelations(ends.target, context.config));
  const redefined = altered.filter(([name, table]) => hasOtherDefaults(known[name], table)).map(([name]) => name);
  const moved = altered.filter(([name, table]) => known[name]?.parents !== table.parents).map(([name]) => name);
  differences.push(...(await definitionDifferences(context, ends, redefined, moved)));
  if (differences.length > 0) throw new Failure(`${differences.join('; ')}; make both alike, then start add again`);
  const added = new Map(own.map(({ sql: name }) => [name, addedNumbers(known[name], now[name])]));
  const filled = await filledDifferently(ends, added);
  await first();
  const dirty = await DirtyKeys.open(context);
  try {
    for (const relation of own) {
      const [before, after] = [known[relation.sql], now[relation.sql]];
      if (!before || !after) continue;
      const isAlike = before.columns === after.columns && before.parents === after.parents;
      if (before.file === after.file && isAlike && !hasOtherNumbers(before, after)) continue;
      await dirty.markAll(relation);
      if (before.file === after.file && !isReplaced(before, after) && !filled.has(relation.sql)) continue;
      await ends.source.query(markStatement(relation));
    }
  } finally {
    await dirty.close();
  }
  // Last: killed before, all of it is done once more.
  await context.state.setFact(BASELINE_FACT, { ...known, ...Object.fromEntries(altered) });
  return altered.map(([name]) => name);
}

/** What the comparison of catalogs says of columns, and of tables with their parents. */
const OF_COLUMN = /^(default|generation|identity) of column /;
const OF_TABLE = /^(foreign )?table /;

/**
 * How definitions differ between the ends; each a sentence.
 *
 * @param redefined tables, by quoted name, whose defaults are to be alike
 * @param moved those that are to be partitions of the same tables
 */
async function definitionDifferences(
  context: Context,
  { source, target }: Ends,
  redefined: readonly string[],
  moved: readonly string[],
): Promise<string[]> {
  if (redefined.length + moved.length === 0) return [];
  const { rows } = await source.query<{ name: string; plain: string }>(
    sql`
      SELECT t.name, format(' %I.%I', n.nspname, c.relname) AS plain FROM unnest($1::text[]) AS t (name)
      JOIN pg_class c ON c.oid = to_regclass(t.name) JOIN pg_namespace n ON n.oid = c.relnamespace`,
    [[...new Set([...redefined, ...moved])]],
  );
  const { failures } = await compareCatalogs(source, target, context.config);
  const isOf = (text: string) => (row: { name: string; plain: string }) =>
    (OF_COLUMN.test(text) && redefined.includes(row.name) && text.includes(`${row.plain}.`)) ||
    (OF_TABLE.test(text) && moved.includes(row.name) && text.includes(`table${row.plain} `));
  return failures.filter((text) => rows.some(isOf(text)));
}

/** What each column holds in rows that are older than itself, where the server (from 11 on) keeps that apart. */
const FILLED = sql`
  SELECT r.name AS relation, a.attname AS name, a.attnum::text AS number, to_jsonb(a) ->> 'attmissingval' AS filled
  FROM unnest($1::text[]) AS r (name) JOIN pg_attribute a ON a.attrelid = to_regclass(r.name)
  WHERE a.attnum > 0 AND NOT a.attisdropped`;

/**
 * Relations, by quoted name, with an added column that holds something else in the target's rows of before: a default such
 * as now() is computed once, by each end for itself.
 *
 * @param added numbers of the source's added columns, by the relation's quoted name
 */
async function filledDifferently(
  { source, target }: Ends,
  added: ReadonlyMap<string, readonly string[]>,
): Promise<Set<string>> {
  const read = async (client: Client): Promise<{ relation: string; name: string; number: string; filled: string }[]> =>
    (await client.query(FILLED, [[...added.keys()]])).rows;
  const there = new Map((await read(target)).map((row) => [`${row.relation} ${row.name}`, row.filled]));
  const here = (await read(source)).filter(({ relation, number }) => added.get(relation)?.includes(number));
  return new Set(
    here.filter((row) => row.filled !== there.get(`${row.relation} ${row.name}`)).map(({ relation }) => relation),
  );
}

/**
 * What has changed since capture, a line for each table.
 *
 * @param direction in which writes are moved. @default forward
 */
export function catalogChanges(before: WatchedTables, now: WatchedTables, direction: Direction = 'forward'): string[] {
  const ways = WAYS_ON[direction];
  const changes: string[] = [];
  for (const [name, table] of Object.entries(now)) {
    const known = before[name];
    if (!known) {
      changes.push(`table ${name} is new and not captured; ${ways.appeared}`);
      continue;
    }
    const what = differenceOf(known, table);
    if (what !== undefined)
      changes.push(`table ${name} ${what}; ${isAltered(known, table) ? ways.altered : ways.otherwise}`);
  }
  for (const name of Object.keys(before)) {
    if (now[name] === undefined)
      changes.push(`table ${name} is gone from the ${direction === 'forward' ? 'source' : 'target'}; ${ways.gone}`);
  }
  return changes;
}

/**
 * Whether nothing but columns, or their values, may be other than before: that can be mended by copying the table anew. Or
 * what it is a partition of: each partition is captured, copied and applied by itself.
 */
const isAltered = (known: WatchedTable, now: WatchedTable): boolean =>
  known.oid === now.oid &&
  keyColumns(known) === keyColumns(now) &&
  (known.parents === now.parents || (known.inherits !== undefined && known.inherits === now.inherits));

/** The columns of a table's primary key, whose index may be another than before, as when a type is altered. */
export const keyColumns = ({ key }: Pick<WatchedTable, 'key'>): string => key.replace(/^\d+ /, '');

const hasOtherDefaults = (known: WatchedTable | undefined, now: WatchedTable): boolean =>
  known?.defaults !== undefined && known.defaults !== now.defaults;

/** Whether columns are others than before, though they may have the same names and types. */
export const hasOtherNumbers = (known: WatchedTable, now: WatchedTable): boolean =>
  known.numbers !== undefined && known.numbers !== now.numbers;

const numbersOf = (table: WatchedTable | undefined): string[] => table?.numbers?.split(' ') ?? [];

/** Numbers of columns that were added since; none where those of before are not known. */
function addedNumbers(known: WatchedTable | undefined, now: WatchedTable | undefined): string[] {
  const before = numbersOf(known);
  return before.length === 0 ? [] : numbersOf(now).filter((number) => !before.includes(number));
}

/** Whether a column is gone and another has come, perhaps with the same name, but not with the values of before. */
const isReplaced = (known: WatchedTable, now: WatchedTable): boolean =>
  addedNumbers(known, now).length > 0 && addedNumbers(now, known).length > 0;

/** How a table differs from what was kept of it, in words; undefined when it does not, or in nothing that does harm. */
export function differenceOf(known: WatchedTable, now: WatchedTable): string | undefined {
  if (known.oid !== now.oid) return 'was dropped and made anew';
  if (known.columns !== now.columns) return 'has other columns or types than when it was captured';
  if (hasOtherNumbers(known, now))
    return 'has a column that was dropped and added anew, of whose values no trigger saw any';
  if (keyColumns(known) !== keyColumns(now)) return 'has another primary key than when it was captured';
  if (hasOtherDefaults(known, now)) return 'has other defaults or identities than when it was captured';
  if (known.parents !== now.parents) return 'was attached to, or detached from, another table';
  // VACUUM FULL, CLUSTER and TRUNCATE give a table a new file as well, but do not touch its columns.
  if (known.file !== now.file && known.altered !== now.altered) {
    return 'was rewritten by ALTER TABLE, which may have changed values that no trigger saw';
  }
  return undefined;
}

/** A new file alone, or new statistics alone, do no harm; kept, they are not taken for a rewrite when the other comes. */
async function keepHarmless(context: Context, before: WatchedTables, now: WatchedTables): Promise<void> {
  const harmless = Object.entries(now).filter(([name, table]) => {
    const known = before[name];
    return (
      known &&
      differenceOf(known, table) === undefined &&
      (known.file !== table.file ||
        known.altered !== table.altered ||
        known.defaults === undefined ||
        known.inherits === undefined ||
        known.numbers === undefined)
    );
  });
  if (harmless.length === 0) return;
  await context.state.setFact(BASELINE_FACT, { ...before, ...Object.fromEntries(harmless) });
}

/** Without what the settings leave out since: the check of capture tells of that, and it is not gone. */
const withoutExcluded = ({ config }: Context, tables: WatchedTables): WatchedTables =>
  Object.fromEntries(Object.entries(tables).filter(([name]) => !isExcluded(config, name)));

/**
 * Looks whether tables have changed since capture, or somebody may write past its triggers. What is found stands as a
 * problem, by name and with the way on, until it is gone again.
 */
export async function watchCatalog(context: Context, source: Client): Promise<string[]> {
  const before = await context.state.fact<WatchedTables>(BASELINE_FACT);
  const now = await readTables(context, source);
  const changes = before ? catalogChanges(withoutExcluded(context, before), now, context.direction) : [];
  if (before) await keepHarmless(context, before, now);
  const problems = [...changes, ...(await bypassWatch(context, source))];
  const known = await context.state.fact<{ problems: string[] } | null>(CATALOG_FACT);
  if (problems.join() === (known?.problems ?? []).join()) return problems;
  if (problems.length > 0) context.log.error({ problems }, 'the source has changed since capture');
  await context.evidence(
    'the source is defined as when it was captured',
    problems.length === 0,
    TABLES,
    problems.slice(0, 20),
  );
  await context.state.setFact(CATALOG_FACT, problems.length > 0 ? { problems } : null);
  return problems;
}
