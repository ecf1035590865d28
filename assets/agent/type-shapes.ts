import type { ClientBase } from 'pg';
import type { TypeShape } from './row-hash';
import { sql } from './sql';

interface TypeRow {
  oid: number;
  kind: string;
  name: string;
  foreign: boolean;
  base: number;
  element: number;
  subtype: number | null;
  fields: { name: string; type: number }[] | null;
}

/**
 * Reads what the types of this database are made of, for `rowHash`; asked by the object id of a column's type
 * (`pg_attribute.atttypid`). One query; ask again after types were changed.
 */
export async function readTypeShapes(client: ClientBase): Promise<(typeOid: number) => TypeShape> {
  const { rows } = await client.query<TypeRow>(sql`
    SELECT t.oid::int8::float8 AS oid, t.typtype AS kind, format_type(t.oid, NULL) AS name,
      t.typnamespace <> 'pg_catalog'::regnamespace AS foreign,
      t.typbasetype::int8::float8 AS base,
      CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem::int8::float8 ELSE 0 END AS element,
      (SELECT r.rngsubtype::int8::float8 FROM pg_range r WHERE r.rngtypid = t.oid) AS subtype,
      (SELECT json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8) ORDER BY a.attnum)
        FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
        AS fields
    FROM pg_type t WHERE t.typtype <> 'p'`);
  const types = new Map(rows.map((row) => [row.oid, row]));
  const resolve = (oid: number): TypeShape => {
    const type = types.get(oid);
    if (!type) return { kind: 'scalar', type: 'unknown' };
    if (type.kind === 'd') return resolve(type.base);
    return { ...shapeOf(type), ...(type.foreign && { foreign: true }) };
  };
  const shapeOf = (type: TypeRow): TypeShape => {
    if (type.kind === 'c' && type.fields) {
      return { kind: 'composite', fields: type.fields.map((f) => ({ name: f.name, shape: resolve(f.type) })) };
    }
    if (type.kind === 'r' && type.subtype !== null) return { kind: 'range', bound: resolve(type.subtype) };
    if (type.element !== 0) return { kind: 'array', element: resolve(type.element) };
    return { kind: 'scalar', type: type.name };
  };
  return resolve;
}
