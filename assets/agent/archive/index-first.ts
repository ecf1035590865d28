import type { Client } from 'pg';
import { sql } from '../sql';
import type { PostDataEntry } from './post-data';
import { CATALOG } from './toc';

/** A constraint of an index, in two steps: the long one allows other indexes of its table to be built beside it. */
export interface IndexFirst {
  /** Builds the index; keeps writes from its table, no more. */
  readonly index: string;
  /** Makes it the constraint's; has the table for itself, for a moment. */
  readonly constraint: string;
}

const CONSTRAINTS = sql`
  SELECT c.oid::int8 AS oid, quote_ident(c.conname) AS name, pg_get_indexdef(c.conindid) AS index,
    format('CREATE UNIQUE INDEX %I ON %I.%I USING btree ', c.conname, n.nspname, t.relname) AS "indexHead",
    format('ALTER TABLE ONLY %I.%I ADD CONSTRAINT %I %s ', n.nspname, t.relname, c.conname,
      CASE c.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END) AS head
  FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  WHERE c.contype IN ('p', 'u') AND NOT c.condeferrable AND t.relkind = 'r' AND c.oid = ANY ($1::oid[])`;

const COMMENT_LINES = /^(--.*\n|\s)+/;

/**
 * Which of the entries can be made in two steps, by their keys: those of ordinary tables, not deferrable, whose script
 * in the archive is the constraint that the source's index tells and nothing beside it. All others stay whole.
 */
export async function indexesFirst(
  source: Client,
  entries: readonly PostDataEntry[],
  scripts: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, IndexFirst>> {
  const byOid = new Map(entries.filter((e) => e.classOid === CATALOG.constraint).map((e) => [e.oid, e.key]));
  const { rows } = await source.query(CONSTRAINTS, [[...byOid.keys()]]);
  const found = new Map<string, IndexFirst>();
  for (const row of rows as { oid: string; name: string; index: string; indexHead: string; head: string }[]) {
    const { name, index, indexHead, head } = row;
    const key = byOid.get(Number(row.oid)) as string;
    const script = scripts
      .get(key)
      ?.replace(COMMENT_LINES, '')
      .replace('\n    ADD CONSTRAINT', ' ADD CONSTRAINT')
      .trim();
    const definition = index.slice(indexHead.length);
    if (index.startsWith(indexHead) && script === `${head}${definition};`) {
      found.set(key, { index, constraint: `${head}USING INDEX ${name}` });
    }
  }
  return found;
}
