import { sql } from '../sql';
import type { Ends } from '../sync/applier';
import { attachedTables } from './attached-tables';
import { CATALOG, type TocEntry } from './toc';

/** Entries in the order in which they are to be made. */
export interface AttachLast {
  readonly entries: readonly TocEntry[];
  /** Those among them that would come after the rows otherwise, by their keys. */
  readonly early: ReadonlySet<string>;
}

/**
 * The indexes among the entries whose place in the tree is below an index that is none of them, each with that index, the
 * table that brings it there, and the attachments of those that hang on it: while one of them is missing it is not valid,
 * and no table that is attached brings it along.
 */
const ADOPTED = sql`
  WITH RECURSIVE own AS (
    SELECT e.place, i.indexrelid AS oid FROM unnest($1::oid[], $2::oid[]) WITH ORDINALITY AS e (class, oid, place)
    LEFT JOIN pg_constraint c ON c.oid = e.oid AND c.contype IN ('p', 'u', 'x') AND e.class = ${CATALOG.constraint}
    JOIN pg_index i ON i.indexrelid = CASE e.class WHEN ${CATALOG.class} THEN e.oid ELSE c.conindid END),
  above AS (
    SELECT o.place, o.oid AS index, h.inhrelid AS child, h.inhparent AS parent
    FROM own o JOIN pg_inherits h ON h.inhrelid = o.oid
    UNION ALL SELECT a.place, a.index, h.inhrelid, h.inhparent
    FROM above a JOIN own o ON o.oid = a.parent JOIN pg_inherits h ON h.inhrelid = o.oid)
  SELECT a.place::int AS place, i.indrelid::int8 AS "table", n.nspname AS schema, p.relname AS name,
    ARRAY(
      SELECT concat_ws(' ', 'INDEX ATTACH', m.nspname, c.relname, pg_get_userbyid(d.relowner))
      FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace m ON m.oid = c.relnamespace
      JOIN pg_class d ON d.oid = h.inhparent WHERE h.inhparent = a.index) AS attachments
  FROM above a JOIN pg_index i ON i.indexrelid = a.child
  JOIN pg_class p ON p.oid = a.parent JOIN pg_namespace n ON n.oid = p.relnamespace
  WHERE i.indrelid = ANY ($3::oid[]) AND a.parent NOT IN (SELECT oid FROM own)`;

interface Adopted {
  readonly place: number;
  readonly table: string;
  readonly schema: string;
  readonly name: string;
  readonly attachments: readonly string[];
}

/** A table that is attached looks for the indexes it needs in this order, and takes the first of those that are equal. */
const IN_ORDER = sql`
  SELECT e.place::int AS place FROM unnest($1::name[], $2::name[]) WITH ORDINALITY AS e (schema, name, place)
  LEFT JOIN pg_namespace n ON n.nspname = e.schema
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = e.name ORDER BY c.oid, e.place`;

/**
 * Has tables attached after their own keys and indexes are made, where the table above has its indexes already: it takes
 * those over then. Without them it would make others, under names of its own, that keep the source's out.
 *
 * @param allPreData all entries of that section, which tell the tables that are attached
 * @param preData those of them that are to be made
 * @param postData those of that section that the target has not
 */
export async function attachLast(
  { source, target }: Ends,
  allPreData: readonly TocEntry[],
  preData: readonly TocEntry[],
  postData: readonly TocEntry[],
): Promise<AttachLast> {
  const tableOf = attachedTables(allPreData);
  const attachments = new Map(preData.map((entry) => [tableOf(entry)?.oid, entry]));
  const tables = [...attachments.keys()].filter((oid) => oid !== undefined);
  if (tables.length === 0) return { entries: preData, early: new Set() };
  const { rows: adopted } = await source.query<Adopted>(ADOPTED, [
    postData.map(({ classOid }) => classOid),
    postData.map(({ oid }) => oid),
    tables,
  ]);
  const { rows: inOrder } = await target.query<{ place: number }>(IN_ORDER, [
    adopted.map(({ schema }) => schema),
    adopted.map(({ name }) => name),
  ]);
  const indexes = inOrder.flatMap(({ place }) => postData[(adopted[place - 1]?.place ?? 0) - 1] ?? []);
  const texts = new Set(adopted.flatMap(({ attachments }) => attachments));
  const early = [...indexes, ...postData.filter(({ oid, text }) => oid === 0 && texts.has(text))];
  const last = new Set(adopted.map(({ table }) => attachments.get(Number(table))));
  return {
    entries: [...preData.filter((entry) => !last.has(entry)), ...early, ...preData.filter((entry) => last.has(entry))],
    early: new Set(early.map(({ key }) => key)),
  };
}
