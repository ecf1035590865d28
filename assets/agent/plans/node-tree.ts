/** A node of PostgreSQL's own parse of a statement, as the catalog holds it: its fields by name, each a list of values. */
export interface TreeNode {
  readonly type: string;
  readonly fields: Readonly<Record<string, readonly TreeValue[]>>;
}

/** A token, a list or a node. */
export type TreeValue = string | TreeNode | readonly TreeValue[];

const TOKEN = /[{}()[\]]|(?:\\.|[^\s{}()[\]\\])+/gs;

/** Reads the text of a pg_node_tree. Its format is nodeToString's of PostgreSQL 14 and newer. */
export function parseTree(text: string): TreeValue[] {
  const tokens = text.match(TOKEN) ?? [];
  let at = 0;
  const values = (end: string | undefined): TreeValue[] => {
    const found: TreeValue[] = [];
    while (at < tokens.length && tokens[at] !== end) found.push(value());
    at += 1;
    return found;
  };
  const value = (): TreeValue => {
    const token = tokens[at++] ?? '';
    if (token === '(') return values(')');
    if (token === '[') return values(']');
    return token === '{' ? node() : token;
  };
  const node = (): TreeNode => {
    const type = tokens[at++] ?? '';
    const fields: Record<string, TreeValue[]> = {};
    let field = '';
    while (at < tokens.length && tokens[at] !== '}') {
      const token = tokens[at] ?? '';
      if (token.startsWith(':')) {
        field = token.slice(1);
        fields[field] ??= [];
        at += 1;
      } else (fields[field] ??= []).push(value());
    }
    at += 1;
    return { type, fields };
  };
  return values(undefined);
}

export const isNode = (value: TreeValue | undefined): value is TreeNode =>
  typeof value === 'object' && !Array.isArray(value);

/** The first value of a field. */
export const fieldOf = (node: TreeNode, name: string): TreeValue | undefined => node.fields[name]?.[0];

/** Every node in a tree, parents first, with the QUERY nodes around it, the nearest first. */
export function* nodesIn(
  values: readonly TreeValue[],
  queries: readonly TreeNode[] = [],
): Generator<{ node: TreeNode; queries: readonly TreeNode[] }> {
  for (const value of values) {
    if (typeof value === 'string') continue;
    if (!isNode(value)) {
      yield* nodesIn(value as readonly TreeValue[], queries);
      continue;
    }
    const inside = value.type === 'QUERY' ? [value, ...queries] : queries;
    yield { node: value, queries: inside };
    for (const field of Object.values(value.fields)) yield* nodesIn(field, inside);
  }
}
