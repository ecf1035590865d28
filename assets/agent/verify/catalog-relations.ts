import { sql } from '../sql';
import { notOfExtension, SCHEMA } from './catalog-sql';

/** Row types that are the type of a column somewhere, alone, in arrays or as domains. Few, and so an array, read once. */
const STORED_TYPES = sql`
  ARRAY(SELECT DISTINCT r.oid FROM pg_attribute u JOIN pg_class o ON o.oid = u.attrelid JOIN pg_type y ON y.oid = u.atttypid
    CROSS JOIN LATERAL unnest(ARRAY[y.oid, y.typelem, y.typbasetype]) AS t (oid) JOIN pg_type r ON r.oid = t.oid
    WHERE o.relkind IN ('r', 'p', 'f', 'c') AND u.attnum > 0 AND r.typtype = 'c')`;

/** Rows are moved by the names of their columns, but a row within a column by their order. */
const COLUMNS = sql`
  (SELECT string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END), ', '
      ORDER BY CASE WHEN c.relkind = 'c' OR c.reltype = ANY (${STORED_TYPES}) THEN a.attnum END, a.attname)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`;

/** Expressions of the key are text, which is compared otherwise. */
const PARTITIONED = sql`
  'PARTITION BY ' || CASE WHEN k.partexprs IS NULL THEN pg_get_partkeydef(k.partrelid) ELSE k.partstrat::text || ' (' || (
    SELECT string_agg(coalesce(quote_ident(a.attname), 'an expression'), ', ' ORDER BY u.n)
    FROM unnest(k.partattrs::int2[]) WITH ORDINALITY AS u (attnum, n)
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum AND a.attnum <> 0) || ')' END`;

const PARENTS = sql`
  (SELECT string_agg(format('%s %I.%I', CASE WHEN c.relispartition THEN 'PARTITION OF' ELSE 'INHERITS' END,
      m.nspname, p.relname), ', ' ORDER BY h.inhseqno)
    FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace m ON m.oid = p.relnamespace
    WHERE h.inhrelid = c.oid)`;

const OPTIONS = `'WITH ' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(c.reloptions) AS o)`;

const FROM = sql`pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`;

const OURS = sql`c.relpersistence <> 't' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** Tables of each kind, with how they are partitioned, and views with their queries. */
const relations = sql`
  SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
      WHEN 'c' THEN 'type' ELSE 'table' END AS kind,
    format('%I.%I', n.nspname, c.relname) AS name,
    concat_ws(' ', ${COLUMNS}, CASE WHEN c.relpersistence = 'u' THEN 'UNLOGGED' END, ${PARTITIONED}, ${PARENTS},
      pg_get_expr(c.relpartbound, c.oid), CASE WHEN c.relkind = 'v' THEN ${OPTIONS} END) AS definition,
    pg_get_userbyid(c.relowner)::text AS owner, c.relkind <> 'm' OR c.relispopulated AS valid,
    CASE WHEN c.relkind IN ('r', 'p') THEN concat_ws(' ', CASE WHEN c.relrowsecurity THEN 'row security' END,
      CASE WHEN c.relforcerowsecurity THEN 'forced row security' END) END AS state, NULL::text AS role,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE pg_get_expr(k.partexprs, k.partrelid) END AS text,
    format('%I.%I', n.nspname, c.relname) AS reads
  FROM ${FROM} LEFT JOIN pg_partitioned_table k ON k.partrelid = c.oid
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND ${OURS}
    AND (c.relkind <> 'c' OR ${notOfExtension('pg_type', 'c.reltype')})`;

const OWNED_BY = sql`
  'OWNED BY ' || (SELECT format('%I.%I.%I', m.nspname, t.relname, a.attname)
    FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace m ON m.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))`;

const sequences = sql`
  SELECT 'sequence', format('%I.%I', n.nspname, c.relname),
    concat_ws(' ', 'START', s.seqstart, 'INCREMENT', s.seqincrement, 'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' END,
      CASE WHEN c.relpersistence = 'u' THEN 'UNLOGGED' END, ${OWNED_BY}),
    pg_get_userbyid(c.relowner)::text, true, NULL, NULL, NULL, NULL
  FROM ${FROM} JOIN pg_sequence s ON s.seqrelid = c.oid WHERE ${OURS}`;

/** Of its own, since the target may have a wider one: the next values of the source must fit there. */
const ranges = sql`
  SELECT 'range of sequence', format('%I.%I', n.nspname, c.relname), format('%s to %s', s.seqmin, s.seqmax),
    NULL, true, NULL, NULL, NULL, NULL
  FROM ${FROM} JOIN pg_sequence s ON s.seqrelid = c.oid WHERE ${OURS}`;

/** Relations with their columns and sequences, in the columns of `CatalogObject`; the first names them. */
export const relationQueries: readonly string[] = [relations, sequences, ranges];
