import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import { Failure } from '../errors';
import { sql } from '../sql';

/** Two relations that had better be in one sync, by their oids. */
export type Tie = readonly [number, number];

/** What the relations are put into groups by. */
export interface GroupingInput {
  readonly relations: readonly Relation[];
  readonly ties: readonly Tie[];
  /** Rows written of each relation, by oid. */
  readonly writes: ReadonlyMap<number, number>;
  /** Patterns of each group that the settings name. */
  readonly groups: readonly (readonly string[])[];
  /** How many groups share the others. */
  readonly shared: number;
  /** What is to be done about a group of the settings that no relation matches. @default throws Failure */
  readonly onEmpty?: (patterns: readonly string[]) => void;
}

const TIES = sql`
  SELECT conrelid::int8 AS a, confrelid::int8 AS b FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid
  UNION SELECT inhrelid::int8, inhparent::int8 FROM pg_inherits`;

/** Foreign keys, and partitions of one table: rows move from one to the other. */
export async function readTies(source: Client): Promise<Tie[]> {
  const { rows } = await source.query(TIES);
  return (rows as { a: string; b: string }[]).map(({ a, b }) => [Number(a), Number(b)]);
}

/** Rows written of each relation since the server began to count, by oid. */
export async function readWrites(source: Client): Promise<Map<number, number>> {
  const { rows } = await source.query(
    'SELECT relid::int8 AS oid, (n_tup_ins + n_tup_upd + n_tup_del)::float8 AS writes FROM pg_stat_user_tables',
  );
  return new Map((rows as { oid: string; writes: number }[]).map(({ oid, writes }) => [Number(oid), writes]));
}

const expression = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('.*')}$`,
    'u',
  );

/** Whether a relation's full name, `schema.name` unquoted, matches a pattern in which `*` stands for anything. */
export const matches = (relation: Pick<Relation, 'schema' | 'name'>, pattern: string): boolean =>
  expression(pattern).test(`${relation.schema}.${relation.name}`);

/** A share of the whole above which relations that belong together are spread nevertheless. */
const TOO_LARGE = 1.5;

/**
 * Puts each relation into exactly one group: that of the settings whose pattern it matches, else one of the shared ones,
 * so that these have equally much to do. Relations that are tied stay together unless they are most of the work.
 */
export function groupRelations(input: GroupingInput): Relation[][] {
  const { relations, groups, shared, onEmpty = refuse } = input;
  const named = groups.map((): Relation[] => []);
  const rest: Relation[] = [];
  for (const relation of relations) {
    const group = groups.findIndex((patterns) => patterns.some((pattern) => matches(relation, pattern)));
    (named[group] ?? rest).push(relation);
  }
  for (const patterns of groups.filter((_, index) => named[index]?.length === 0)) onEmpty(patterns);
  return [...named, ...spread(input, rest, shared)].filter((members) => members.length > 0);
}

function refuse(patterns: readonly string[]): void {
  throw new Failure(`sync.groups: no relation matches ${patterns.join(', ')}; correct the pattern`);
}

/** Longest first, each into the group that has least: never more than a third above the best (Graham). */
function spread(input: GroupingInput, rest: readonly Relation[], count: number): Relation[][] {
  const bins = Array.from({ length: count }, () => ({ weight: 0, members: [] as Relation[] }));
  // One more than was written, so that quiet relations are spread as well.
  const weightOf = (members: readonly Relation[]): number =>
    members.reduce((sum, { oid }) => sum + 1 + (input.writes.get(oid) ?? 0), 0);
  const fair = weightOf(rest) / Math.max(1, count);
  const clusters = tied(rest, input.ties)
    .flatMap((members) => (weightOf(members) > TOO_LARGE * fair ? members.map((one) => [one]) : [members]))
    .map((members) => ({ members, weight: weightOf(members) }))
    .sort((a, b) => b.weight - a.weight);
  for (const { members, weight } of clusters) {
    const least = bins.reduce((best, bin) => (bin.weight < best.weight ? bin : best));
    least.members.push(...members);
    least.weight += weight;
  }
  return bins.map(({ members }) => members);
}

/** Relations by connected component. A tie may lead over a table that is none of them, such as a partitioned one. */
function tied(relations: readonly Relation[], ties: readonly Tie[]): Relation[][] {
  const root = new Map<number, number>();
  const find = (oid: number): number => {
    let at = oid;
    for (let up = root.get(at); up !== undefined; up = root.get(at)) at = up;
    return at;
  };
  for (const [a, b] of ties) {
    const [from, to] = [find(a), find(b)];
    if (from !== to) root.set(from, to);
  }
  const components = new Map<number, Relation[]>();
  for (const relation of relations) {
    const members = components.get(find(relation.oid)) ?? [];
    members.push(relation);
    components.set(find(relation.oid), members);
  }
  return [...components.values()];
}
