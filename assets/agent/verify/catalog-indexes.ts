import { sql } from '../sql';
import { columnNames, notOfExtension, SCHEMA } from './catalog-sql';

const INDEXES = sql`
  pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_namespace b ON b.oid = c.relnamespace`;

const OURS = sql`c.relkind <> 't' AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}`;

/** What a column of an index adds to the table's: operators and their options, and a collation of its own. */
const COLUMN = sql`
  concat_ws(' ', CASE WHEN i.indkey[k - 1] = 0 THEN 'an expression' ELSE pg_get_indexdef(i.indexrelid, k, true) END,
    (SELECT format('COLLATE %I.%I', m.nspname, l.collname) FROM pg_collation l JOIN pg_namespace m ON m.oid = l.collnamespace
      WHERE l.oid = i.indcollation[k - 1] AND l.oid <> coalesce(a.attcollation, t.typcollation)),
    CASE WHEN NOT o.opcdefault THEN quote_ident(o.opcname) END, array_to_string(e.attoptions, ', '),
    CASE WHEN i.indoption[k - 1] & 1 = 1 THEN 'DESC' END,
    CASE WHEN i.indoption[k - 1] & 2 = 2 THEN 'NULLS FIRST' END)`;

/** What an index forces and serves is its definition; its expressions and predicate are its text. */
const indexes = (version: number): string => sql`
  SELECT 'index', format('%I.%I', n.nspname, x.relname),
    concat_ws(' ', CASE WHEN i.indisunique THEN 'unique' END, m.amname, 'on',
      format('%I.%I (%s)', b.nspname, c.relname, (
        SELECT string_agg(${COLUMN}, ', ' ORDER BY k)
        FROM generate_series(1, ${version >= 110000 ? 'i.indnkeyatts' : 'i.indnatts'}) AS k
        JOIN pg_opclass o ON o.oid = i.indclass[k - 1] JOIN pg_attribute e ON e.attrelid = i.indexrelid AND e.attnum = k
        JOIN pg_type t ON t.oid = e.atttypid
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1] AND a.attnum <> 0)),
      ${
        version >= 110000
          ? sql`'INCLUDE ' || (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ' ORDER BY k)
            FROM generate_series(i.indnkeyatts + 1, i.indnatts) AS k),`
          : ''
      }
      ${version >= 150000 ? `CASE WHEN i.indnullsnotdistinct THEN 'NULLS NOT DISTINCT' END,` : ''}
      CASE WHEN NOT i.indimmediate THEN 'deferrable' END, CASE WHEN i.indpred IS NOT NULL THEN 'with a predicate' END),
    NULL, i.indisvalid AND i.indisready, NULL, NULL,
    nullif(concat_ws(', ', pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)), ''),
    format('%I.%I', b.nspname, c.relname)
  FROM ${INDEXES} JOIN pg_am m ON m.oid = x.relam WHERE ${OURS}`;

const storage = sql`
  SELECT 'storage parameters of index', format('%I.%I', n.nspname, x.relname),
    (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(x.reloptions) AS o), NULL, true, NULL, NULL, NULL, NULL
  FROM ${INDEXES} WHERE x.reloptions IS NOT NULL AND ${OURS}`;

/** Up to 11 there are two kinds of statistics, from 12 on three; who names none means all. */
const statistics = (version: number): string => sql`
  SELECT 'statistics', format('%I.%I', n.nspname, s.stxname),
    concat_ws(' ', CASE WHEN s.stxkind::text[] @> '${version >= 120000 ? '{d,f,m}' : '{d,f}'}' THEN 'all kinds'
        ELSE (SELECT string_agg(k, ', ' ORDER BY k) FROM unnest(s.stxkind::text[]) AS k WHERE k <> 'e') END,
      format('on %I.%I', b.nspname, c.relname), '(' || ${columnNames('s.stxrelid', 's.stxkeys::int2[]', 'by name')} || ')'
      ${version >= 140000 ? `, CASE WHEN s.stxexprs IS NOT NULL THEN 'and expressions' END` : ''}),
    pg_get_userbyid(s.stxowner)::text, true, NULL, NULL, ${version >= 140000 ? 'pg_get_expr(s.stxexprs, s.stxrelid)' : 'NULL'},
    format('%I.%I', b.nspname, c.relname)
  FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace b ON b.oid = c.relnamespace
  JOIN pg_namespace n ON n.oid = s.stxnamespace
  WHERE ${SCHEMA} AND ${notOfExtension('pg_statistic_ext', 's.oid')}`;

/** What happens to the referencing rows, for confupdtype and confdeltype. */
const action = (column: string): string =>
  `CASE ${column} WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END`;

const foreignKey = (version: number): string => sql`
  format('REFERENCES %I.%I (%s) MATCH %s ON UPDATE %s ON DELETE %s', g.nspname, r.relname,
    ${columnNames('k.confrelid', 'k.confkey', 'given')}, k.confmatchtype, ${action('k.confupdtype')}, ${action('k.confdeltype')})
    ${version >= 150000 ? `|| coalesce(' (' || ${columnNames('k.conrelid', 'k.confdelsetcols', 'by name')} || ')', '')` : ''}`;

/** Foreign keys that partitions inherit get their names anew on each server; the parent's stands for them. */
const constraints = (version: number): string => sql`
  SELECT 'constraint', format('%s of %I.%I', quote_ident(k.conname), n.nspname, c.relname),
    concat_ws(' ', CASE k.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY'
        WHEN 'u' THEN 'UNIQUE' ELSE 'EXCLUDE' END,
      '(' || CASE WHEN k.contype = 'c' THEN ${columnNames('k.conrelid', 'k.conkey', 'by name')}
        ELSE ${columnNames('k.conrelid', 'k.conkey', 'given')} END || ')',
      CASE WHEN k.contype = 'f' THEN ${foreignKey(version)} END,
      'WITH ' || (SELECT string_agg(o::regoperator::text, ', ' ORDER BY i) FROM unnest(k.conexclop) WITH ORDINALITY AS u (o, i)),
      CASE WHEN k.condeferrable THEN 'DEFERRABLE' END, CASE WHEN k.condeferred THEN 'INITIALLY DEFERRED' END,
      CASE WHEN k.connoinherit AND k.contype = 'c' THEN 'NO INHERIT' END
      ${version >= 180000 ? `, CASE WHEN NOT k.conenforced THEN 'NOT ENFORCED' END` : ''}),
    NULL, k.convalidated, NULL, NULL, CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END,
    format('%I.%I', n.nspname, c.relname)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class r ON r.oid = k.confrelid LEFT JOIN pg_namespace g ON g.oid = r.relnamespace
  WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND ${SCHEMA} AND ${notOfExtension('pg_class', 'c.oid')}
    ${version >= 110000 ? `AND (k.contype <> 'f' OR k.conparentid = 0)` : ''}`;

const ofDomains = sql`
  SELECT 'constraint', format('%s of %I.%I', quote_ident(k.conname), n.nspname, t.typname), 'CHECK',
    NULL, k.convalidated, NULL, NULL, pg_get_expr(k.conbin, 0),
    format('(SELECT NULL::%s AS value) AS domain', format_type(t.typbasetype, t.typtypmod))
  FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE k.contype = 'c' AND ${SCHEMA} AND ${notOfExtension('pg_type', 't.oid')}`;

/** Indexes, constraints and extended statistics, in the columns of `CatalogObject`. */
export const indexQueries = (version: number): string[] => [
  indexes(version),
  storage,
  constraints(version),
  ofDomains,
  statistics(version),
];
