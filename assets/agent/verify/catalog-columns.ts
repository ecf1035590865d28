import { sql } from '../sql';
import { notOfExtension, SCHEMA } from './catalog-sql';

const COLUMN = `format('%I.%I.%I', n.nspname, c.relname, a.attname)`;

const FROM = sql`
  pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace`;

const OURS = sql`
  a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
    AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/**
 * What a column takes where nothing is given, what it is computed from, its identity, and a collation other than its
 * type's, each an object of its own: the other end must have it, too. Partitions have the identity of their table from 17
 * on, and none before.
 */
export const columnQueries = (version: number): string[] => [
  sql`
    SELECT ${version >= 120000 ? `CASE a.attgenerated WHEN '' THEN 'default of column' ELSE 'generation of column' END` : `'default of column'`},
      ${COLUMN}, ${version >= 120000 ? `CASE a.attgenerated WHEN '' THEN 'given' WHEN 's' THEN 'stored' ELSE 'virtual' END` : `'given'`},
      NULL, true, NULL, NULL, pg_get_expr(d.adbin, d.adrelid), format('%I.%I', n.nspname, c.relname)
    FROM ${FROM} JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE ${OURS}`,
  sql`
    SELECT 'identity of column', ${COLUMN}, CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
      NULL, true, NULL, NULL, NULL, NULL
    FROM ${FROM} WHERE a.attidentity <> '' AND NOT c.relispartition AND ${OURS}`,
  sql`
    SELECT 'collation of column', ${COLUMN}, format('%I.%I', m.nspname, l.collname), NULL, true, NULL, NULL, NULL, NULL
    FROM ${FROM} JOIN pg_type t ON t.oid = a.atttypid JOIN pg_collation l ON l.oid = a.attcollation
    JOIN pg_namespace m ON m.oid = l.collnamespace WHERE a.attcollation <> t.typcollation AND ${OURS}`,
];
