import type { Client } from 'pg';
import { sql } from '../sql';
import type { PostDataEntry } from './post-data';
import { CATALOG } from './toc';

/** A foreign key in two steps: the long one needs its own table alone, not the one that it refers to. */
export interface NotValidFirst {
  /** Makes the constraint without a look at the rows; has both tables for itself, for a moment. */
  readonly constraint: string;
  /** Looks at the rows; keeps no writes from either table. */
  readonly validation: string;
  /** Source's oid of the table that is read. */
  readonly table: number;
  /** What that table has on the source. */
  readonly bytes: number;
}

/**
 * The few thousand rows of a table up to this size are looked up in a moment, however large the other table is: a second
 * transaction would cost as much, and there may be thousands of such foreign keys; bytes.
 */
const SMALL_TABLE = 1 << 20;

/**
 * Before 18 NOT VALID is refused for a partitioned table; where one is referred to, validation leaves the constraints for
 * its partitions as they are, not validated.
 */
const FOREIGN_KEYS = sql`
  SELECT c.oid::int8 AS oid, c.conrelid::int8 AS "table", pg_relation_size(t.oid)::float8 AS bytes,
    format('ALTER TABLE ONLY %I.%I ADD CONSTRAINT %I ', n.nspname, t.relname, c.conname) AS head,
    format('ALTER TABLE ONLY %I.%I VALIDATE CONSTRAINT %I', n.nspname, t.relname, c.conname) AS validation
  FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_class r ON r.oid = c.confrelid
  WHERE c.contype = 'f' AND c.convalidated AND t.relkind = 'r' AND r.relkind = 'r' AND c.oid = ANY ($1::oid[])`;

const COMMENT_LINES = /^(--.*\n|\s)+/;

/** What the archive says of a constraint that is not to hold for the rows that are there. */
const LEFT_UNCHECKED = / NOT (VALID|ENFORCED);$/;

/**
 * Which of the entries can be made in two steps and are worth it, by their keys: foreign keys between ordinary tables,
 * validated on the source, whose script in the archive is that one statement. All others stay whole.
 *
 * @param smallTable size up to which the foreign keys of a table stay whole; bytes. @default 1 MiB
 */
export async function notValidFirst(
  source: Client,
  entries: readonly PostDataEntry[],
  scripts: ReadonlyMap<string, string>,
  smallTable: number = SMALL_TABLE,
): Promise<ReadonlyMap<string, NotValidFirst>> {
  const isForeignKey = ({ kind, classOid }: PostDataEntry): boolean =>
    kind === 'foreign key' && classOid === CATALOG.constraint;
  const byOid = new Map(entries.filter(isForeignKey).map(({ oid, key }) => [oid, key]));
  const { rows } = await source.query(FOREIGN_KEYS, [[...byOid.keys()]]);
  const found = new Map<string, NotValidFirst>();
  for (const row of rows as { oid: string; table: string; bytes: number | null; head: string; validation: string }[]) {
    const { bytes, head, validation } = row;
    const key = byOid.get(Number(row.oid)) as string;
    const script = (scripts.get(key) ?? '')
      .replace(COMMENT_LINES, '')
      .replace('\n    ADD CONSTRAINT', ' ADD CONSTRAINT')
      .trim();
    const isPlain = script.startsWith(`${head}FOREIGN KEY (`) && script.endsWith(';') && !LEFT_UNCHECKED.test(script);
    if (!isPlain || bytes === null || bytes <= smallTable) continue;
    const constraint = `${script.slice(0, -1)} NOT VALID`;
    found.set(key, { constraint, validation, table: Number(row.table), bytes });
  }
  return found;
}
