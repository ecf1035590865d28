import type { Relation } from '../catalog/relations';

const describe = (relation: Relation): Map<string, string> =>
  new Map(
    relation.columns.map((column) => [column.name, `${column.type}${column.generated ? ' (computed)' : ''}`] as const),
  );

/** How the target's relations differ from the source's, one line each; empty when all columns and types are equal. */
export function columnDifferences(
  source: readonly Relation[],
  target: readonly Relation[],
  where: 'target' | 'dump source' | 'source' = 'target',
  from: 'source' | 'target' = 'source',
): string[] {
  const there = new Map(target.map((relation) => [relation.sql, relation]));
  return source.flatMap((relation) => {
    const other = there.get(relation.sql);
    if (!other) return [`${relation.sql} is missing on the ${where}`];
    const [ours, theirs] = [describe(relation), describe(other)];
    const names = [...new Set([...ours.keys(), ...theirs.keys()])];
    return names
      .filter((name) => ours.get(name) !== theirs.get(name))
      .map((name) => {
        const [here, far] = [ours.get(name) ?? 'absent', theirs.get(name) ?? 'absent'];
        return `column "${name}" of ${relation.sql} is ${here} on the ${from} and ${far} on the ${where}`;
      });
  });
}
