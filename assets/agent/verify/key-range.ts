import type { Client } from 'pg';
import { withoutModifier, type KeyRange } from '../catalog/key-order';
import { keyText } from '../catalog/key-text';
import type { KeyColumn, Relation } from '../catalog/relations';
import { Failure } from '../errors';
import { ident, sql } from '../sql';

/** An index that gives, after a key, one that is not greater. */
export class OutOfOrder extends Failure {}

/** Cuts a relation into ranges by stepping through its key's index. */
export class KeySteps {
  private readonly row: string;
  private readonly step: (where: string, ascends: string) => string;

  constructor(
    private readonly relation: Relation,
    private readonly columns: readonly KeyColumn[],
    chunkRows: number,
  ) {
    const names = columns.map((column) => `t.${ident(column.name)}`);
    this.row = `(${names.join(', ')})`;
    this.step = (where, ascends) => sql`
      SELECT ${columns.map((column, i) => `${keyText(column, 't')} AS k${i}`).join(', ')}, ${ascends} AS ascends
      FROM ONLY ${relation.sql} AS t ${where} ORDER BY ${names.join(', ')} OFFSET ${Math.max(0, chunkRows - 1)} LIMIT 1`;
  }

  /**
   * The key with which the first chunk of the given range ends; undefined when fewer rows than a chunk are left in it.
   * Asked of one end, it says nothing of the other's order: only the range goes there. Throws OutOfOrder where the index
   * would lead in circles.
   */
  async next(client: Client, range: KeyRange): Promise<readonly string[] | undefined> {
    const { text, values } = this.condition(range);
    const ascends = range.after === undefined ? 'true' : `${this.row} > ${this.bound(1)}`;
    const { rows } = await client.query({ text: this.step(text, ascends), values, rowMode: 'array' });
    const found = rows[0] as [...string[], boolean] | undefined;
    // A text that stands for a lesser value than the key's would find that key again, for ever.
    if (found?.at(-1) === false || range.after?.every((value, i) => value === found?.[i])) {
      throw new OutOfOrder(
        `the index of ${this.relation.sql}'s key is out of order after (${range.after?.join(', ')}): it is corrupt or sorted by other rules; REINDEX it`,
      );
    }
    return found?.slice(0, -1) as string[] | undefined;
  }

  private bound(first: number): string {
    return `(${this.columns.map((column, i) => `$${first + i}::${withoutModifier(column.type)}`).join(', ')})`;
  }

  /** WHERE clause of a range, with its parameters from $1 on; empty for the range without ends. */
  condition({ after, upTo }: KeyRange): { readonly text: string; readonly values: string[] } {
    const values = [...(after ?? []), ...(upTo ?? [])];
    const parts = [
      ...(after === undefined ? [] : [`${this.row} > ${this.bound(1)}`]),
      ...(upTo === undefined ? [] : [`${this.row} <= ${this.bound(1 + (after?.length ?? 0))}`]),
    ];
    return { text: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
  }
}
