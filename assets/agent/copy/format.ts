import type { Client } from 'pg';
import { copiedColumns, type Relation } from '../catalog/relations';
import { sql } from '../sql';

/** How COPY writes rows. */
export type CopyFormat = 'binary' | 'text';

/**
 * Built-in types whose binary form has been the same since PostgreSQL 10, arrays and ranges of them included. Left out
 * are those that hold what differs between servers: object ids of the server's own, the locale's digits of money, the
 * declared encoding of xml.
 */
const BINARY = `
  bool bytea char int2 int4 int8 float4 float8 numeric text varchar bpchar name json jsonb uuid date time
  timetz timestamp timestamptz interval bit varbit inet cidr macaddr macaddr8 point line lseg box path polygon
  circle tsvector int4range int8range numrange tsrange tstzrange daterange`
  .trim()
  .split(/\s+/);

/** Object ids of the types that may go in binary: those above with their arrays, enums, and domains over any of them. */
const TYPES = sql`
  WITH RECURSIVE builtin AS (
    SELECT oid, typarray FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typname = ANY ($1)),
  safe (oid) AS (
    SELECT oid FROM builtin UNION SELECT typarray FROM builtin UNION SELECT oid FROM pg_type WHERE typtype = 'e'
    UNION SELECT d.oid FROM pg_type d JOIN safe ON safe.oid = d.typbasetype WHERE d.typtype = 'd')
  SELECT oid::int8 AS oid FROM safe WHERE oid <> 0`;

/** Reads from the source which format each relation can take. */
export async function readFormats(source: Client): Promise<(relation: Relation) => CopyFormat> {
  const { rows } = await source.query(TYPES, [BINARY]);
  const safe = new Set((rows as { oid: string }[]).map((row) => Number(row.oid)));
  return (relation) =>
    copiedColumns(relation).every((column) => safe.has(Number(column.typeOid))) ? 'binary' : 'text';
}
