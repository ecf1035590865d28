import type { ClientBase } from 'pg';
import { sql } from '../../../assets/agent/sql';
import { readTypeShapes } from '../../../assets/agent/type-shapes';
import type { HashColumn } from '../../../assets/agent/row-hash';
import type { ValueType } from './values';

/** A column as the writers see it. */
export interface Column extends HashColumn, ValueType {
  notNull: boolean;
  /** The default's SQL text, or null. */
  default: string | null;
  /** `a` for GENERATED ALWAYS AS IDENTITY, `d` for BY DEFAULT. */
  identity: '' | 'a' | 'd';
  /** Computed by the server, hence never written. */
  generated: boolean;
  /** Part of a foreign key of this table. */
  tied: boolean;
  /** Pointed to by a foreign key, of this or another table. */
  pointedTo: boolean;
  /** Part of the partition key, here or further down. */
  routing: boolean;
  /** Part of a unique index or an exclusion constraint, as a column, in an expression or in a predicate. */
  unique: boolean;
}

/** A table the writers can write. */
export interface Table {
  id: number;
  schema: string;
  name: string;
  /** False for a partitioned table, whose rows are all in its partitions. */
  only: boolean;
  /** Columns by name, so that the order is the same on every server. */
  columns: Column[];
  /** The primary key's columns, in its order. */
  key: Column[];
  /** Columns of each other unique index on columns alone, without predicate. */
  uniques: string[][];
  /** Whether foreign keys point here, of this or other tables. */
  referenced: boolean;
}

/** Tables found in a database: those that can be written, and those that cannot, with the reason. */
export interface Catalog {
  tables: Table[];
  unwritable: { table: string; reason: string }[];
}

interface TableRow extends Omit<Table, 'id' | 'columns' | 'key'> {
  persistence: string;
  key: string[] | null;
  columns: (Omit<Column, 'shape'> & { typeOid: number })[] | null;
  privileges: boolean;
}

/** Never an application's: the engine's and our own schemas. */
const reserved = ['pg_catalog', 'information_schema', 'bucardo', 'ibex'];

/**
 * Finds every table with a primary key that the login may write: ordinary ones, and partitioned ones as a whole; a
 * partition stands alone only if no table above it has a primary key (PostgreSQL 10).
 */
export async function readCatalog(client: ClientBase): Promise<Catalog> {
  const shapes = await readTypeShapes(client);
  await client.query('BEGIN READ ONLY');
  try {
    await client.query(`SET LOCAL search_path = ''`);
    const { rows } = await client.query<TableRow>(tablesQuery, [reserved]);
    const catalog: Catalog = { tables: [], unwritable: [] };
    for (const row of rows) {
      const reason = unwritable(row);
      if (reason) {
        catalog.unwritable.push({ table: `${row.schema}.${row.name}`, reason });
        continue;
      }
      const columns = row.columns!.map((column) => ({ ...column, shape: shapes(column.typeOid) }));
      const key = row.key!.map((name) => columns.find((column) => column.name === name)!);
      const { schema, name, only, uniques, referenced } = row;
      catalog.tables.push({ id: catalog.tables.length, schema, name, only, columns, key, uniques, referenced });
    }
    return catalog;
  } finally {
    await client.query('ROLLBACK');
  }
}

function unwritable(row: TableRow): string | undefined {
  if (!row.key) return 'it has no primary key';
  if (row.persistence !== 'p') return 'it is unlogged';
  if (!row.privileges) return 'the login may not insert, update or delete here';
  return undefined;
}

/** `to_jsonb(a)` reads columns of the catalog that older servers do not have. */
const tablesQuery = sql`
  WITH RECURSIVE above AS (
    SELECT i.inhrelid AS leaf, i.inhparent AS parent FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
    UNION ALL
    SELECT a.leaf, i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.parent
  )
  SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'r' AS only,
    c.relpersistence AS persistence,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
      AND pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
      AND pg_catalog.has_table_privilege(c.oid, 'DELETE') AS privileges,
    (SELECT pg_catalog.json_agg(a.attname ORDER BY k.n) FROM pg_catalog.pg_index i
      CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
      WHERE i.indrelid = c.oid AND i.indisprimary
        AND k.n <= coalesce((pg_catalog.to_jsonb(i)->>'indnkeyatts')::int, i.indnatts)) AS key,
    EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid) AS referenced,
    coalesce((SELECT pg_catalog.json_agg((SELECT pg_catalog.json_agg(a.attname ORDER BY k.n)
        FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE k.n <= coalesce((pg_catalog.to_jsonb(i)->>'indnkeyatts')::int, i.indnatts)))
      FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary AND i.indisvalid
        AND i.indexprs IS NULL AND i.indpred IS NULL), '[]') AS uniques,
    (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
        'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'typeOid', a.atttypid::int8,
        'base', CASE WHEN b.oid = a.atttypid THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
          ELSE pg_catalog.format_type(b.oid, b.mod) END,
        'labels', (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
          FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid),
        'notNull', a.attnotnull, 'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity,
        'generated', coalesce(pg_catalog.to_jsonb(a)->>'attgenerated', '') <> '',
        'tied', EXISTS (SELECT FROM pg_catalog.pg_constraint f
          WHERE f.contype = 'f' AND f.conrelid = c.oid AND a.attnum = ANY (f.conkey)),
        'pointedTo', EXISTS (SELECT FROM pg_catalog.pg_constraint f
          WHERE f.contype = 'f' AND f.confrelid = c.oid AND a.attnum = ANY (f.confkey)),
        'routing', EXISTS (SELECT FROM pg_catalog.pg_partitioned_table p
          WHERE p.partrelid = c.oid AND a.attnum = ANY (p.partattrs::int2[])
            OR p.partrelid IN (SELECT leaf FROM above WHERE parent = c.oid) AND a.attname IN (
              SELECT s.attname FROM pg_catalog.pg_attribute s
              WHERE s.attrelid = p.partrelid AND s.attnum = ANY (p.partattrs::int2[]))),
        'unique', EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid
          AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND (a.attnum = ANY (i.indkey::int2[])
            OR EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.classid = 'pg_catalog.pg_class'::regclass
              AND x.objid = i.indexrelid AND x.refobjid = c.oid AND x.refobjsubid = a.attnum)))
        ) ORDER BY a.attname::text COLLATE "C")
      FROM pg_catalog.pg_attribute a
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
      CROSS JOIN LATERAL (
        WITH RECURSIVE domain AS (
          SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, -1 AS mod FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
          UNION ALL
          SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, domain.typtypmod FROM domain
            JOIN pg_catalog.pg_type t ON t.oid = domain.typbasetype WHERE domain.typtype = 'd'
        ) SELECT oid, mod FROM domain WHERE typtype <> 'd') b
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname <> ALL ($1::text[])
    AND n.nspname !~ '^pg_(toast|temp)'
    AND NOT EXISTS (SELECT FROM above WHERE above.leaf = c.oid AND EXISTS (
      SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = above.parent AND i.indisprimary))
    AND NOT (c.relkind = 'p' AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::regclass
      AND e.objid = c.oid AND e.deptype = 'e')
  ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`;
