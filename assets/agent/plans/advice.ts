import type { Client } from 'pg';
import { sql } from '../sql';
import { lostIndexes, NOISE_BLOCKS, wrongEstimates } from './judge';
import type { Plan } from './plan';

/** Parameters by which a planner decides, beside the version. */
const PARAMETERS = sql`
  SELECT name, current_setting(name) AS value FROM pg_settings
  WHERE category LIKE 'Query Tuning%' OR name IN ('work_mem', 'hash_mem_multiplier', 'max_parallel_workers_per_gather', 'jit')`;

const RELATIONS = sql`
  SELECT format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) AS relation,
    greatest(c.relpages, pg_relation_size(c.oid) / current_setting('block_size')::int)::float8 AS pages,
    EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname) AS analyzed,
    ARRAY(SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid) AS indexes,
    coalesce((SELECT string_agg(a.attname || '=' || a.attstattarget, ', ' ORDER BY a.attname)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attstattarget >= 0), '') AS targets
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm')
    AND format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) = ANY ($1)`;

interface RelationFacts {
  readonly relation: string;
  readonly pages: number;
  readonly analyzed: boolean;
  readonly indexes: readonly string[];
  readonly targets: string;
}

/** Parameters of the planner that differ, such as `random_page_cost 1.1, source 4`; of those that both ends know. */
export async function differingParameters(source: Client, target: Client): Promise<string[]> {
  const read = async (client: Client): Promise<Map<string, string>> =>
    new Map(
      ((await client.query(PARAMETERS)).rows as { name: string; value: string }[]).map(({ name, value }) => [
        name,
        value,
      ]),
    );
  const [there, here] = [await read(source), await read(target)];
  return [...here].flatMap(([name, value]) => {
    const old = there.get(name);
    return old === undefined || old === value ? [] : [`${name} ${value}, source ${old}`];
  });
}

/** What both ends say of the relations of a statement. */
export class RelationsOf {
  private constructor(
    private readonly source: ReadonlyMap<string, RelationFacts>,
    private readonly target: ReadonlyMap<string, RelationFacts>,
  ) {}

  static async read(source: Client, target: Client, plans: readonly Plan[]): Promise<RelationsOf> {
    const names = plans.flatMap(({ accesses }) => accesses.map(({ relation }) => relation));
    const read = async (client: Client): Promise<Map<string, RelationFacts>> =>
      new Map(
        ((await client.query(RELATIONS, [[...new Set(names)]])).rows as RelationFacts[]).map((one) => [
          one.relation,
          one,
        ]),
      );
    return new RelationsOf(await read(source), await read(target));
  }

  /** Whether reading all of it costs nothing worth a word. */
  isSmall(relation: string): boolean {
    return (this.target.get(relation)?.pages ?? 0) < NOISE_BLOCKS;
  }

  /** What to do about a plan that became worse, the likeliest first. */
  todo(source: Plan, target: Plan, parameters: readonly string[]): string[] {
    const todo: string[] = [];
    for (const { before } of lostIndexes(source, target)) {
      const index = before.index;
      const facts = this.target.get(before.relation);
      if (index !== undefined && facts && !facts.indexes.includes(index))
        todo.push(`make index ${index} on ${before.relation} of the target: the source has it`);
    }
    for (const relation of new Set(target.accesses.map((access) => access.relation))) {
      const [there, here] = [this.source.get(relation), this.target.get(relation)];
      if (here && !here.analyzed && here.pages > 0) todo.push(`ANALYZE ${relation}`);
      if (there && here && there.targets !== here.targets && there.targets !== '')
        todo.push(`set the statistics targets of ${relation} (${there.targets}), then ANALYZE it`);
    }
    for (const relation of wrongEstimates(source, target))
      todo.push(
        `rows of ${relation} are misjudged: raise its statistics target, or CREATE STATISTICS, then ANALYZE it`,
      );
    if (todo.length === 0 && parameters.length > 0)
      todo.push(`look at the parameters that differ: ${parameters.join('; ')}`);
    if (todo.length === 0) todo.push('EXPLAIN it on both ends; try the parameters of the planner for its role');
    return todo;
  }
}

/** What to do about a statement that the target refuses, by the server's error code. */
export function todoForRefusal(code: string | undefined): string {
  const known: Readonly<Record<string, string>> = {
    '42883': 'make the function or operator on the target, or the extension that has it',
    '42704': 'make the type, or the extension that has it, on the target',
    '42P01': 'make the table or view on the target, or correct the search path of the role there',
    '42703': 'the column is not there: it is another table, or a column of the catalog that this version has no more',
    '42601': 'change the statement: the newer version reads it otherwise',
    '42501': 'GRANT the role what it has on the source',
    '3F000': 'make the schema on the target',
    '42725': 'cast the arguments: several functions fit on the newer version',
    '55P03': 'start plans again: somebody held a lock',
    '57014': 'it cannot be planned in time: look at the locks and the load of the target',
  };
  return known[code ?? ''] ?? 'run it on the target, and mend what it says';
}
