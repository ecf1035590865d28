import type { Client } from 'pg';
import { ident, sql } from '../sql';
import { oneStatement } from '../ready/one-statement';
import type { Planner } from './planner';
import { fieldOf, isNode, nodesIn, parseTree, type TreeNode, type TreeValue } from './node-tree';

/** A column that a parameter is compared with, or the place where it counts rows. */
export type Meaning = { readonly relid: number; readonly attnum: number } | 'limit' | 'offset';

/** What a PostgreSQL server made of a statement's text. */
export interface Parsed {
  /** Why it may write or have another effect; absent when it is proven to only read. */
  readonly notReading?: string;
  /** What each parameter stands for, by its number from 1, where that is known. */
  readonly meanings: ReadonlyMap<number, Meaning>;
}

/** Name of the function that holds the statement while it is looked at; never called. */
const FUNCTION = 'ibex_parsed';

/**
 * Has the server parse a statement as the body of a temporary function of the SQL standard, and reads the parse from the
 * catalog: exact where every reading of the text would be a guess. Within a transaction that is rolled back; the server is
 * 14 or newer. Parsing calls no function of the statement.
 *
 * @param types of the parameters, as SQL
 */
export async function parseStatement(target: Client, planner: Planner, types: readonly string[]): Promise<Parsed> {
  let parsed: Parsed | undefined;
  await planner.named(
    () =>
      oneStatement(
        target,
        `CREATE FUNCTION pg_temp.${ident(FUNCTION)}(${types.join(', ')}) RETURNS void LANGUAGE sql BEGIN ATOMIC ${planner.text}\n; END`,
      ),
    async () => {
      parsed = await readParsed(target);
    },
  );
  return parsed ?? { meanings: new Map() };
}

async function readParsed(target: Client): Promise<Parsed> {
  const { rows } = await target.query(
    'SELECT prosqlbody::text AS body FROM pg_proc WHERE proname = $1 AND pronamespace = pg_my_temp_schema()',
    [FUNCTION],
  );
  const tree = parseTree((rows[0] as { body: string }).body);
  const notReading = await whyNotReading(target, tree);
  return { meanings: meaningsIn(tree), ...(notReading !== undefined && { notReading }) };
}

const VOLATILE = sql`
  SELECT DISTINCT p.oid::regprocedure::text AS name FROM pg_proc p
  WHERE p.provolatile = 'v' AND p.oid IN (
    SELECT unnest($1::oid[])
    UNION SELECT oprcode FROM pg_operator WHERE oid = ANY ($2::oid[])
    UNION SELECT unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn]::oid[]) FROM pg_aggregate
      WHERE aggfnoid = ANY ($1::oid[]))
  ORDER BY 1 LIMIT 3`;

/** What stands behind relations: the queries of views, and the conditions of row security. */
const BEHIND = sql`
  SELECT c.oid::int8::text AS oid, c.relkind AS kind, c.oid::regclass::text AS name, r.ev_action::text AS tree
  FROM pg_class c LEFT JOIN pg_rewrite r ON r.ev_class = c.oid AND c.relkind = 'v' WHERE c.oid = ANY ($1::oid[])
  UNION ALL
  SELECT p.polrelid::int8::text, 'p', p.polname, coalesce(p.polqual::text, '') FROM pg_policy p WHERE p.polrelid = ANY ($1::oid[])`;

/** Commands of a QUERY node: 1 is SELECT. */
const SELECT = '1';

async function whyNotReading(target: Client, statement: readonly TreeValue[]): Promise<string | undefined> {
  const functions = new Set<string>();
  const operators = new Set<string>();
  const known = new Set<string>();
  for (let trees: (readonly TreeValue[])[] = [statement]; trees.length > 0;) {
    const relations = new Set<string>();
    for (const { node } of trees.flatMap((tree) => [...nodesIn(tree)])) {
      if (node.type === 'QUERY') {
        if (fieldOf(node, 'commandType') !== SELECT) return 'it writes';
        if (isList(fieldOf(node, 'rowMarks'))) return 'it locks rows';
      }
      for (const name of ['funcid', 'aggfnoid', 'winfnoid']) add(functions, fieldOf(node, name));
      add(operators, fieldOf(node, 'opno'));
      add(relations, fieldOf(node, 'relid'));
    }
    const fresh = [...relations].filter((oid) => !known.has(oid));
    fresh.forEach((oid) => known.add(oid));
    const behind = (await target.query(BEHIND, [fresh])).rows as { kind: string; name: string; tree: string | null }[];
    const foreign = behind.find(({ kind }) => kind === 'f');
    if (foreign) return `${foreign.name} is a foreign table`;
    trees = behind.flatMap(({ tree }) => (tree === null ? [] : [parseTree(tree)]));
  }
  const { rows } = await target.query(VOLATILE, [[...functions], [...operators]]);
  const names = (rows as { name: string }[]).map(({ name }) => name);
  return names.length > 0 ? `it calls what may write: ${names.join(', ')}` : undefined;
}

const isList = (value: TreeValue | undefined): boolean => value !== undefined && typeof value !== 'string';

function add(set: Set<string>, value: TreeValue | undefined): void {
  if (typeof value === 'string' && value !== '0' && /^\d+$/.test(value)) set.add(value);
}

/** Looks for comparisons of a column with a parameter, and for LIMIT and OFFSET. */
function meaningsIn(tree: readonly TreeValue[]): Map<number, Meaning> {
  const found = new Map<number, Meaning>();
  for (const { node, queries } of nodesIn(tree)) {
    if (node.type === 'QUERY') {
      for (const [field, meaning] of [
        ['limitCount', 'limit'],
        ['limitOffset', 'offset'],
      ] as const)
        for (const number of parametersIn(node.fields[field] ?? [])) found.set(number, meaning);
    }
    if (node.type !== 'OPEXPR' && node.type !== 'SCALARARRAYOPEXPR') continue;
    const args = fieldOf(node, 'args');
    if (!Array.isArray(args)) continue;
    const [left, right] = args as TreeValue[];
    for (const [one, other] of [
      [left, right],
      [right, left],
    ]) {
      const column = columnOf(one, queries);
      if (column === undefined || other === undefined) continue;
      for (const number of parametersIn([other])) found.set(number, column);
    }
  }
  return found;
}

/** A cast between types of the same form, which hides nothing. */
const inner = (value: TreeValue | undefined): TreeNode | undefined => {
  if (!isNode(value)) return undefined;
  return value.type === 'RELABELTYPE' ? inner(fieldOf(value, 'arg')) : value;
};

function columnOf(value: TreeValue | undefined, queries: readonly TreeNode[]): Meaning | undefined {
  const node = inner(value);
  if (node?.type !== 'VAR') return undefined;
  const number = (name: string): number => Number(fieldOf(node, name));
  const query = queries[number('varlevelsup')];
  const table = query && fieldOf(query, 'rtable');
  const entry = Array.isArray(table) ? (table as TreeValue[])[number('varno') - 1] : undefined;
  const relid = isNode(entry) ? Number(fieldOf(entry, 'relid')) : 0;
  return relid > 0 ? { relid, attnum: number('varattno') } : undefined;
}

/** Numbers of the parameters that stand there by themselves, or in an array: not those inside of expressions. */
function parametersIn(values: readonly TreeValue[]): number[] {
  return values.flatMap((value) => {
    const node = inner(value);
    if (node?.type === 'PARAM') return [Number(fieldOf(node, 'paramid'))];
    const elements = node?.type === 'ARRAYEXPR' ? fieldOf(node, 'elements') : undefined;
    return Array.isArray(elements) ? parametersIn(elements as TreeValue[]) : [];
  });
}
