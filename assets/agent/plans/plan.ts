import { qualified } from '../sql';

/** How a relation is read in a plan. */
export interface Access {
  /** Both names, quoted. */
  readonly relation: string;
  /** `Seq Scan`, `Index Scan`, `Bitmap Heap Scan` … */
  readonly method: string;
  /** @default it takes none */
  readonly index?: string;
  /** Rows that the planner expects, and that came; of one run of the node. */
  readonly expected: number;
  readonly actual?: number;
}

/** What is kept of a plan: no condition, since that may hold a value. */
export interface Plan {
  /** Node types, nested, such as `Limit(Index Scan)`. */
  readonly shape: string;
  readonly accesses: readonly Access[];
  /** Schemas of all relations that it reads or writes. */
  readonly schemas: readonly string[];
  readonly expected: number;
  /** Execution, without planning; milliseconds. Only of a plan that was run. */
  readonly ms?: number;
  /** Blocks of tables and indexes that were read, from memory or disk. Only of a plan that was run. */
  readonly blocks?: number;
}

/** A node of EXPLAIN (FORMAT JSON). */
interface Node {
  readonly 'Node Type': string;
  readonly 'Parent Relationship'?: string;
  readonly 'Relation Name'?: string;
  readonly Schema?: string;
  readonly 'Index Name'?: string;
  readonly 'Plan Rows': number;
  readonly 'Actual Rows'?: number;
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  readonly Plans?: readonly Node[];
}

/** Nodes that other versions put in without another way of working. */
const TRANSPARENT = ['Memoize', 'Materialize', 'Gather', 'Gather Merge', 'Result', 'Subquery Scan'];

/** Reads what EXPLAIN (FORMAT JSON) gave. */
export function readPlan(explained: unknown): Plan {
  const [{ Plan: top, 'Execution Time': ms }] = explained as [{ Plan: Node; 'Execution Time'?: number }];
  const accesses: Access[] = [];
  const schemas = new Set<string>();
  collect(top, accesses, schemas);
  const measured = top['Shared Hit Blocks'] !== undefined;
  return {
    shape: shapeOf(top).join(', '),
    accesses,
    schemas: [...schemas],
    expected: top['Plan Rows'],
    ...(ms !== undefined && { ms }),
    ...(measured && { blocks: (top['Shared Hit Blocks'] ?? 0) + (top['Shared Read Blocks'] ?? 0) }),
  };
}

/** A parameter's stand-in, by which servers before 12 plan without knowing values. */
const isStandIn = (node: Node): boolean => node['Parent Relationship'] === 'InitPlan' && node['Node Type'] === 'Result';

const childrenOf = ({ Plans = [] }: Node): Node[] => Plans.filter((node) => !isStandIn(node));

function shapeOf(node: Node): string[] {
  const inside = childrenOf(node).flatMap(shapeOf);
  if (TRANSPARENT.includes(node['Node Type']) && inside.length > 0) return inside;
  return [`${node['Node Type']}${inside.length > 0 ? `(${inside.join(', ')})` : ''}`];
}

function collect(node: Node, into: Access[], schemas: Set<string>): void {
  if (node.Schema !== undefined) schemas.add(node.Schema);
  const relation = node['Relation Name'];
  const actual = node['Actual Rows'];
  if (relation !== undefined && node['Node Type'] !== 'ModifyTable') {
    const index = node['Index Name'] ?? indexBelow(node);
    into.push({
      relation: qualified(node.Schema ?? '', relation),
      method: node['Node Type'],
      expected: node['Plan Rows'],
      ...(index !== undefined && { index }),
      ...(actual !== undefined && { actual }),
    });
  }
  for (const child of childrenOf(node)) collect(child, into, schemas);
}

/** Of a bitmap's scan the first index; there may be several. */
function indexBelow(node: Node): string | undefined {
  for (const child of node.Plans ?? []) {
    const found = child['Index Name'] ?? indexBelow(child);
    if (found !== undefined && child['Relation Name'] === undefined) return found;
  }
  return undefined;
}
