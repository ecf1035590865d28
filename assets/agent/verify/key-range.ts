import type { Client } from 'pg';
import { withoutModifier, type KeyRange } from '../catalog/key-order';
import type { KeyColumn, Relation } from '../catalog/relations';
import { ident, sql } from '../sql';

/** Cuts a relation into ranges by stepping through its key's index on the source. */
export class KeySteps {
  private readonly row: string;
  private readonly step: (where: string) => string;

  constructor(
    relation: Relation,
    private readonly columns: readonly KeyColumn[],
    chunkRows: number,
  ) {
    const names = columns.map((column) => `t.${ident(column.name)}`);
    this.row = `(${names.join(', ')})`;
    this.step = (where) => sql`
      SELECT ${names.map((name, i) => `${name}::text AS k${i}`).join(', ')}
      FROM ONLY ${relation.sql} AS t ${where} ORDER BY ${names.join(', ')} OFFSET ${Math.max(0, chunkRows - 1)} LIMIT 1`;
  }

  /** The key with which the chunk after the given key ends; undefined when fewer rows than a chunk are left. */
  async next(source: Client, after: readonly string[] | undefined): Promise<readonly string[] | undefined> {
    const { text, values } = this.condition({ ...(after !== undefined && { after }) });
    const { rows } = await source.query({ text: this.step(text), values, rowMode: 'array' });
    return rows[0] as string[] | undefined;
  }

  /** WHERE clause of a range, with its parameters from $1 on; empty for the range without ends. */
  condition({ after, upTo }: KeyRange): { readonly text: string; readonly values: string[] } {
    const values = [...(after ?? []), ...(upTo ?? [])];
    const bound = (first: number): string =>
      `(${this.columns.map((column, i) => `$${first + i}::${withoutModifier(column.type)}`).join(', ')})`;
    const parts = [
      ...(after === undefined ? [] : [`${this.row} > ${bound(1)}`]),
      ...(upTo === undefined ? [] : [`${this.row} <= ${bound(1 + (after?.length ?? 0))}`]),
    ];
    return { text: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
  }
}
