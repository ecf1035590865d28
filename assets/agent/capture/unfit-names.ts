import type { Relation } from '../catalog/relations';
import { Failure } from '../errors';
import { listed } from '../failures';
import { deltaName, fitsIdentifier, QUEUE_COLUMNS } from './names';

const quoted = (name: string): boolean => name.includes('"');

function unfit({ schema, name, sql, columns, key }: Relation): string[] {
  const lines = columns
    .filter((column) => quoted(column.name))
    .map(
      (column) =>
        `column '${column.name}' of ${sql} has a double quote in its name, which Bucardo cannot handle; rename it`,
    );
  if (quoted(schema) || quoted(name)) {
    lines.push(`table ${sql} has a double quote in its name, which Bucardo cannot handle; rename it`);
  }
  const taken = key?.columns.filter((column) => QUEUE_COLUMNS.includes(column.name)) ?? [];
  lines.push(
    ...taken.map((column) => `key column "${column.name}" of ${sql} has a name that capture needs; rename it`),
  );
  const queue = deltaName(schema, name);
  if (!fitsIdentifier(queue)) {
    lines.push(
      `table ${sql} would be captured as "${queue}", ${Buffer.byteLength(queue)} bytes long where a server keeps 63; give it a shorter name`,
    );
  }
  return lines;
}

/** Two tables with one queue: each would put its keys there, and whoever applies one of them forgets those of the other. */
function collisions(relations: readonly Relation[]): string[] {
  const taken = new Map<string, Relation>();
  return relations.flatMap((relation) => {
    const name = deltaName(relation.schema, relation.name);
    const other = taken.get(name);
    taken.set(name, relation);
    return other === undefined
      ? []
      : [`tables ${other.sql} and ${relation.sql} would both be captured as bucardo.${name}; rename one`];
  });
}

/**
 * Why names of tables and columns keep them from being captured, one line each.
 *
 * @param relations all that are captured or are to be
 */
export const unfitNames = (relations: readonly Relation[]): string[] => [
  ...relations.flatMap(unfit),
  ...collisions(relations),
];

/** Throws Failure that names what cannot be captured by its name: a table that was made after `assess` may be such. */
export function refuseUnfitNames(relations: readonly Relation[]): void {
  const lines = unfitNames(relations);
  if (lines.length > 0) throw new Failure(listed(lines));
}
