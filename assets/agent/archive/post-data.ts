import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import { OWN_SCHEMAS } from '../catalog/schemas';
import { sql } from '../sql';
import { CATALOG, type TocEntry } from './toc';

/** When an entry is made, and what may be made beside it. */
export type EntryKind = 'key' | 'plain index' | 'unique' | 'foreign key' | 'other';

/** An entry of the post-data section, with what the source's catalog says of it. */
export interface PostDataEntry extends TocEntry {
  readonly kind: EntryKind;
  /** Source's oids of the tables that are locked while it is made. */
  readonly tables: readonly number[];
}

interface ConstraintRow {
  oid: string;
  type: string;
  table: string;
  index: string;
  referenced: string;
}

const CONSTRAINTS = sql`
  SELECT oid, contype AS type, conrelid AS "table", conindid AS index, confrelid AS referenced
  FROM pg_constraint WHERE oid = ANY ($1::oid[])`;

const INDEXES = sql`
  SELECT i.indexrelid AS oid, i.indrelid AS "table", i.indisunique OR i.indisexclusion AS "unique", c.relkind AS kind
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE i.indexrelid = ANY ($1::oid[])`;

/**
 * Says what each entry is, from the source's catalog by oid: names tell nothing. Needs to read nothing but the catalog.
 *
 * @param relations with the keys that are to be made first
 */
export async function classify(
  source: Client,
  entries: readonly TocEntry[],
  relations: readonly Relation[],
): Promise<PostDataEntry[]> {
  const oids = (classOid: number): number[] => entries.filter((e) => e.classOid === classOid).map((e) => e.oid);
  const constraints = await source.query(CONSTRAINTS, [oids(CATALOG.constraint)]);
  const indexes = await source.query(INDEXES, [oids(CATALOG.class)]);
  const keys = new Set(relations.map((relation) => relation.key?.indexOid));
  const known = new Map<string, Pick<PostDataEntry, 'kind' | 'tables'>>();
  for (const row of constraints.rows as ConstraintRow[]) {
    const tables = row.type === 'f' ? [Number(row.table), Number(row.referenced)] : [Number(row.table)];
    known.set(`${CATALOG.constraint} ${row.oid}`, { kind: constraintKind(row, keys), tables });
  }
  for (const row of indexes.rows as { oid: string; table: string; unique: boolean; kind: string }[]) {
    const plain = row.kind === 'm' ? 'other' : 'plain index';
    const kind = keys.has(Number(row.oid)) ? 'key' : row.unique && row.kind !== 'm' ? 'unique' : plain;
    known.set(`${CATALOG.class} ${row.oid}`, { kind, tables: [Number(row.table)] });
  }
  return entries.map((entry) => ({
    ...entry,
    ...(known.get(`${entry.classOid} ${entry.oid}`) ?? { kind: 'other' as const, tables: [] }),
  }));
}

function constraintKind(row: ConstraintRow, keys: ReadonlySet<number | undefined>): EntryKind {
  if (row.type === 'f') return 'foreign key';
  if (!['p', 'u', 'x'].includes(row.type)) return 'other';
  return keys.has(Number(row.index)) ? 'key' : 'unique';
}

/** Kinds of entry that are never restored: a superuser's, or the source's own way of replicating. */
const LEFT_OUT_CLASSES: readonly number[] = [
  CATALOG.eventTrigger,
  CATALOG.publication,
  CATALOG.publicationNamespace,
  CATALOG.publicationRelation,
  CATALOG.subscription,
];

/** The same for comments and grants, which are no objects and so have nothing but their text. */
const LEFT_OUT_TEXTS =
  /^((COMMENT|ACL) - (EXTENSION|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|LANGUAGE) |ACL (pg_catalog|information_schema) |STATISTICS DATA )/;

/** Of the entries, those that are the application's and may be restored by a login that is no superuser. */
export async function applicationEntries(source: Client, entries: readonly TocEntry[]): Promise<TocEntry[]> {
  const { rows } = await source.query(
    sql`
      SELECT t.oid, ${CATALOG.trigger} AS class FROM pg_trigger t
      JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE t.oid = ANY ($1::oid[]) AND n.nspname = ANY ($2)
      UNION ALL SELECT oid, ${CATALOG.namespace} FROM pg_namespace WHERE nspname = 'public'`,
    [entries.filter((entry) => entry.classOid === CATALOG.trigger).map((entry) => entry.oid), OWN_SCHEMAS],
  );
  const ours = new Set((rows as { oid: string; class: number }[]).map((row) => `${row.class} ${row.oid}`));
  return entries.filter(
    (entry) =>
      !LEFT_OUT_CLASSES.includes(entry.classOid) &&
      !ours.has(`${entry.classOid} ${entry.oid}`) &&
      !(entry.classOid === 0 && LEFT_OUT_TEXTS.test(entry.text)),
  );
}
