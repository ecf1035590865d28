import type { Client } from 'pg';
import type { AgentConfig } from '../config';
import { ident, qualified, sql } from '../sql';
import { hiddenSchemas, isApplicationSchema } from './schemas';

/** A column as both ends must have it. */
export interface Column {
  readonly name: string;
  /** Type with its modifier, as format_type() writes it with an empty search path. */
  readonly type: string;
  readonly typeOid: number;
  readonly notNull: boolean;
  /** Computed by the server; never copied. */
  readonly generated: boolean;
}

/** A column of a relation's key. */
export interface KeyColumn {
  readonly name: string;
  readonly type: string;
  /** What lies under a domain, with its modifier; the type itself where it is none. */
  readonly baseType: string;
  /** The index's equality operator as SQL, since a key's type may live outside pg_catalog (citext). */
  readonly equals: string;
  /** Schema of that operator. */
  readonly operatorSchema: string;
}

/** The unique index by which rows are told apart: the primary key, else what Bucardo would choose. */
export interface Key {
  readonly indexOid: number;
  readonly indexName: string;
  readonly primary: boolean;
  readonly columns: readonly KeyColumn[];
  /** Why it cannot serve as a key; absent when it can. */
  readonly unusable?: string;
}

/** An ordinary table or a leaf partition of the application: what is captured, copied and compared. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Both names, quoted. */
  readonly sql: string;
  readonly owner: string;
  readonly isPartition: boolean;
  readonly unlogged: boolean;
  /** Takes part in inheritance other than partitioning. */
  readonly inherits: boolean;
  readonly columns: readonly Column[];
  readonly key: Key | undefined;
  /** Has a unique or exclusion constraint or index beside its key, so that its changes cannot be cut by keys. */
  readonly otherUnique: boolean;
  /** Heap with TOAST, without indexes; bytes. */
  readonly bytes: number;
  /** The planner's estimate. */
  readonly rows: number;
}

/** A type whose domains are taken off, of column `a` with its type `t`. */
const BASE_TYPE = sql`
  (WITH RECURSIVE under AS (
    SELECT t.oid, a.atttypmod AS modifier, t.typbasetype AS base, t.typtypmod AS "baseModifier"
    UNION ALL SELECT b.oid, u."baseModifier", b.typbasetype, b.typtypmod FROM under u JOIN pg_type b ON b.oid = u.base)
  SELECT format_type(oid, modifier) FROM under WHERE base = 0)`;

/** What lets our login compare by operator `o` of schema `op`: as the owner of the trigger's function, and by name. */
const WANTS = sql`
  concat_ws('; ',
    CASE WHEN NOT has_schema_privilege(op.oid, 'USAGE')
      THEN format('GRANT USAGE ON SCHEMA %I TO %I', op.nspname, current_user) END,
    CASE WHEN NOT has_function_privilege(o.oprcode, 'EXECUTE')
      THEN format('GRANT EXECUTE ON FUNCTION %s TO %I', o.oprcode::regprocedure, current_user) END)`;

const RELATIONS = (generated: string): string => sql`
  SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relispartition AS "isPartition",
    pg_get_userbyid(c.relowner) AS owner, c.relpersistence = 'u' AS unlogged,
    pg_table_size(c.oid) AS bytes, greatest(c.reltuples, 0)::float8 AS rows,
    NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)) AS inherits,
    (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
        'typeOid', a.atttypid::int8, 'notNull', a.attnotnull, 'generated', ${generated}) ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
      AND i.indexrelid IS DISTINCT FROM k.indexrelid) AS "otherUnique",
    k.key
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT i.indexrelid, json_build_object(
      'indexOid', i.indexrelid::int8, 'indexName', x.relname, 'primary', i.indisprimary,
      'valid', i.indisvalid, 'immediate', i.indimmediate,
      'extra', array_length(i.indkey::int2[], 1) > array_length(i.indclass::oid[], 1),
      'columns', (
        SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
          'baseType', ${BASE_TYPE}, 'notNull', a.attnotnull, 'enumDomain', t.typtype = 'd' AND t.typcategory = 'E', 'isArray', t.typcategory = 'A',
          'operatorSchema', op.nspname, 'operatorName', o.oprname, 'wants', ${WANTS}) ORDER BY p.position)
        FROM generate_subscripts(i.indclass::oid[], 1) AS p (position)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = (i.indkey::int2[])[p.position]
        JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_opclass oc ON oc.oid = (i.indclass::oid[])[p.position]
        JOIN pg_amop am ON am.amopfamily = oc.opcfamily AND am.amopstrategy = 3
          AND am.amoplefttype = oc.opcintype AND am.amoprighttype = oc.opcintype
        JOIN pg_operator o ON o.oid = am.amopopr
        JOIN pg_namespace op ON op.oid = o.oprnamespace)) AS key
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indisprimary DESC, array_length(i.indkey::int2[], 1), i.indexrelid DESC
    LIMIT 1) k ON true
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${isApplicationSchema('n.nspname', '$1')}
    AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY pg_table_size(c.oid) DESC, n.nspname, c.relname`;

interface RawKey {
  indexOid: string | number;
  indexName: string;
  primary: boolean;
  valid: boolean;
  immediate: boolean;
  extra: boolean;
  columns: {
    name: string;
    type: string;
    baseType: string;
    notNull: boolean;
    enumDomain: boolean;
    isArray: boolean;
    operatorSchema: string;
    operatorName: string;
    wants: string;
  }[];
}

/** All ordinary tables and leaf partitions of the application, largest first. Needs no more than a login. */
export async function readRelations(client: Client, config: AgentConfig): Promise<Relation[]> {
  const version = await serverVersion(client);
  const generated = version >= 120000 ? `a.attgenerated <> ''` : 'false';
  const { rows } = await client.query(RELATIONS(generated), [hiddenSchemas(config)]);
  const relations = (rows as (Omit<Relation, 'key' | 'sql'> & { key: RawKey | null })[]).map((row) => ({
    ...row,
    oid: Number(row.oid),
    bytes: Number(row.bytes),
    rows: Number(row.rows),
    columns: row.columns ?? [],
    sql: qualified(row.schema, row.name),
    key: row.key === null ? undefined : keyOf(row.key, version),
  }));
  return relations.filter((relation) => !config.leftOut?.includes(relation.sql));
}

/** The server's version as one number: 110022 for 11.22. */
export async function serverVersion(client: Client): Promise<number> {
  const { rows } = await client.query(`SELECT current_setting('server_version_num')::int AS version`);
  return (rows[0] as { version: number }).version;
}

/** The columns that are copied: all but those that the server computes. */
export const copiedColumns = (relation: Relation): readonly Column[] =>
  relation.columns.filter((column) => !column.generated);

function keyOf(raw: RawKey, version: number): Key {
  const why = unusable(raw, version);
  return {
    indexOid: Number(raw.indexOid),
    indexName: raw.indexName,
    primary: raw.primary,
    columns: raw.columns.map((column) => ({
      name: column.name,
      type: column.type,
      baseType: column.baseType,
      equals: `OPERATOR(${ident(column.operatorSchema)}.${column.operatorName})`,
      operatorSchema: column.operatorSchema,
    })),
    ...(why !== undefined && { unusable: why }),
  };
}

function unusable(raw: RawKey, version: number): string | undefined {
  const floats = ['real', 'double precision'];
  const nullable = raw.columns.find((column) => !column.notNull);
  const array = raw.columns.find((column) => column.isArray);
  const enumDomain = raw.columns.find((column) => column.enumDomain);
  const closed = raw.columns.find((column) => column.wants !== '');
  const float = raw.columns.find((column) => floats.includes(column.type));
  if (!raw.valid) return `index "${raw.indexName}" is invalid; rebuild it`;
  if (raw.extra)
    return `index "${raw.indexName}" has INCLUDE columns, which Bucardo takes for key columns; make one without`;
  if (!raw.immediate && !raw.primary) return `constraint "${raw.indexName}" is deferrable; make one that is not`;
  if (nullable) return `column "${nullable.name}" of unique index "${raw.indexName}" may be NULL; set it NOT NULL`;
  if (array) return `key column "${array.name}" is an array, which Bucardo cannot look up; add another key`;
  // Capture would have each UPDATE of the table refused, by either.
  if (closed) return `key column "${closed.name}" is compared by what our login may not use: ${closed.wants}`;
  if (enumDomain)
    return `key column "${enumDomain.name}" is a domain over an enum, which has no operators; add another key`;
  if (float && version < 120000)
    return `key column "${float.name}" is ${float.type}, which servers before 12 write inexactly; add another key`;
  return undefined;
}
