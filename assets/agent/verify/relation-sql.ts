import { keyText } from '../catalog/key-text';
import type { Column, Relation } from '../catalog/relations';
import { rowHash, type TypeShape } from '../row-hash';
import { sql } from '../sql';
import type { Bucketing, ChosenBuckets } from './bucket-sums';
import type { Query } from './listing';

/** A WHERE clause, or nothing, with its parameters. */
export interface Condition {
  readonly text: string;
  readonly values: readonly string[];
}

/** The key by which changes of a relation are known, or undefined where rows can only be told apart as a whole. */
export const usableKey = (relation: Relation): Relation['key'] =>
  relation.key?.unusable === undefined ? relation.key : undefined;

/**
 * The columns by which rows are the same. What an end computes is its own, which another version of a library may do in
 * other last digits; but changes find their rows by the key.
 */
export const comparedColumns = (relation: Relation): readonly Column[] => {
  const keys = usableKey(relation)?.columns.map(({ name }) => name) ?? [];
  return relation.columns.filter(({ name, generated }) => !generated || keys.includes(name));
};

/** SQL for the md5 of each row of a relation, as text; the row is `t`. */
export const hashOf = (relation: Relation, shapes: (typeOid: number) => TypeShape): string =>
  rowHash(
    comparedColumns(relation).map(({ name, type, typeOid }) => ({ name, type, shape: shapes(typeOid) })),
    't',
  );

/**
 * The statements that compare one relation, the same text on both ends. Sums are of 64 bits of each row's hash. Buckets
 * are by the last of these bits: equal rows are in the same bucket whatever the collations and the order of rows, and a row
 * that differs puts both its bucket here and its bucket there among those that differ.
 */
export class RelationSql {
  private readonly keyTexts: readonly string[];

  constructor(
    private readonly relation: Relation,
    private readonly hash: string,
  ) {
    const key = usableKey(relation);
    this.keyTexts = key === undefined ? [hash] : key.columns.map((column) => keyText(column, 't'));
  }

  /** One row: count and sum of the rows of a range. */
  sums(where: Condition): string {
    return sql`
      SELECT count(*) AS rows, coalesce(sum(${bits64(this.hash)}), 0) AS sum
      FROM ONLY ${this.relation.sql} AS t ${where.text}`;
  }

  /**
   * One row a bucket: number, count and sum. OFFSET 0 makes the server hash each row once, and hides from the planner
   * what is grouped, for which it might sort the whole table.
   *
   * @param within the only rows that count: those in all of these chosen buckets. @default all
   */
  buckets(where: Condition, by: Bucketing, within: readonly ChosenBuckets[] = []): Query {
    const { text, values } = isChosen(within, 'bits', where.values.length);
    return {
      text: sql`
        SELECT ${bucketOf('bits', by)} AS bucket, count(*) AS rows, sum(bits) AS sum
        FROM (SELECT ${bits64(this.hash)} AS bits FROM ONLY ${this.relation.sql} AS t ${where.text} OFFSET 0) s
        WHERE ${text} GROUP BY 1`,
      values: [...where.values, ...values],
    };
  }

  /** Key hash, key and row hash of every row that is in all of these chosen buckets. */
  list(where: Condition, within: readonly ChosenBuckets[]): Query {
    const columns = `md5(${joined(this.keyTexts)}) COLLATE "C" AS kh, ARRAY[${this.keyTexts.join(', ')}] AS key, ${this.hash} AS hash`;
    const { text, values } = isChosen(within, bits64(this.hash), where.values.length);
    return {
      text: sql`
        SELECT ${columns} FROM ONLY ${this.relation.sql} AS t
        ${where.text === '' ? 'WHERE' : `${where.text} AND`} ${text} ORDER BY 1`,
      values: [...where.values, ...values],
    };
  }
}

/** SQL for whether a row is in all of these chosen buckets. */
function isChosen(within: readonly ChosenBuckets[], bits: string, parameters: number): Query {
  const each = within.map((by, index) => `get_bit($${parameters + index + 1}::bytea, ${bucketOf(bits, by)}) = 1`);
  return { text: each.join(' AND ') || 'true', values: within.map(({ chosen }) => chosen) };
}

const bits64 = (hash: string): string => `('x' || substr(${hash}, 1, 16))::bit(64)::int8`;

const bucketOf = (bits: string, { buckets, shift = 0 }: Bucketing): string =>
  `((${bits} >> ${shift}) & ${buckets - 1})::int4`;

/** Lengths keep the columns of a composite key apart. */
const joined = (texts: readonly string[]): string =>
  texts.length === 1
    ? (texts[0] as string)
    : texts.map((text) => `octet_length(${text})::text || ':' || ${text}`).join(' || ');
