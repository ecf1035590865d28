import { ident, sql } from './sql';

/**
 * What a type is made of, as far as its text may differ between servers. Domains are given as their base type. Needed
 * only for types that a user made; read with `readTypeShapes`.
 */
export type TypeShape = (
  | { kind: 'scalar'; type: string }
  | { kind: 'array'; element: TypeShape }
  | { kind: 'composite'; fields: { name: string; shape: TypeShape }[] }
  | { kind: 'range'; bound: TypeShape }
) & {
  /** Whether it is not PostgreSQL's own: its owner may have made a cast to text, which must not run here. */
  foreign?: boolean;
};

/** One column of a row to be hashed. */
export interface HashColumn {
  name: string;
  /** As `format_type` names it, with or without modifier, e.g. `numeric(10,2)` or `double precision[]`. */
  type: string;
  /** Object id of the type on the server that was asked; not used in the hash, since it differs between databases. */
  typeOid?: number;
  /** What the type is made of. Default: judged by `type` alone, which is enough for built-in types and their arrays. */
  shape?: TypeShape;
}

/**
 * Settings under which the hashes of two servers can be compared; every session or transaction that hashes rows sets
 * them first. Floating point numbers do not depend on them, since they are hashed by their bits.
 */
export const hashSettings: Readonly<Record<string, string>> = {
  DateStyle: 'ISO, YMD',
  TimeZone: 'UTC',
  IntervalStyle: 'postgres',
  extra_float_digits: '3',
  bytea_output: 'hex',
};

/** Statements that set `hashSettings`, for the session or (`local`) for the transaction only. */
export const setHashSettings = (scope: 'session' | 'local'): string =>
  Object.entries(hashSettings)
    .map(([name, value]) => `SET ${scope === 'local' ? 'LOCAL ' : ''}${name} = '${value}'`)
    .join('; ');

/**
 * SQL text of an expression that yields the md5 of a whole row as text, the same on every server from PostgreSQL 10 to
 * 18 under `hashSettings`. Columns count in the order given, so both sides must be asked in the same order. NULL and
 * the empty string differ.
 * @param alias name of the row in the query, to qualify the columns with. Default: unqualified.
 */
export function rowHash(columns: readonly HashColumn[], alias?: string): string {
  const prefix = alias === undefined ? '' : `${ident(alias)}.`;
  const values = columns.map(({ name, type, shape }) => portable(`${prefix}${ident(name)}`, shape ?? shapeOf(type)));
  return `pg_catalog.md5(ROW(${values.join(', ')})::pg_catalog.text)`;
}

/**
 * Types whose text depends on the server's version (floating point: 12 prints the shortest form; "char": 16 escapes) or
 * on its locale (money), with the function that gives their bits.
 */
const senders: Readonly<Record<string, string>> = {
  real: 'float4send',
  'double precision': 'float8send',
  point: 'point_send',
  lseg: 'lseg_send',
  box: 'box_send',
  path: 'path_send',
  polygon: 'poly_send',
  line: 'line_send',
  circle: 'circle_send',
  money: 'cash_send',
  '"char"': 'charsend',
};

/** Built-in types need no catalog: the name tells arrays, and modifiers do not matter. */
function shapeOf(type: string): TypeShape {
  const bare = type.replace(/\(.*?\)/, '').trim();
  if (bare.endsWith('[]')) return { kind: 'array', element: { kind: 'scalar', type: bare.slice(0, -2) } };
  return { kind: 'scalar', type: bare };
}

const hex = (bytes: string): string => `pg_catalog.encode(${bytes}, 'hex')`;

/** Every caller makes the value a field of a row, whose text is by the output functions of the types, never by a cast. */
function portable(value: string, shape: TypeShape, depth = 0): string {
  if (!needsBits(shape)) return shape.foreign || isXml(shape) ? value : `${value}::pg_catalog.text`;
  switch (shape.kind) {
    case 'scalar':
      return hex(`pg_catalog.${senders[shape.type]}(${oneNaN(value, shape.type)})`);
    case 'array':
      return portableArray(value, shape, depth);
    case 'composite': {
      const fields = shape.fields.map((field) => portable(`(${value}).${ident(field.name)}`, field.shape, depth));
      return whenGiven(value, `ROW(${fields.join(', ')})::pg_catalog.text`);
    }
    case 'range': {
      const ends = ['lower', 'upper'].map((end) => portable(`pg_catalog.${end}(${value})`, shape.bound, depth));
      const flags = ['isempty', 'lower_inc', 'upper_inc', 'lower_inf', 'upper_inf'];
      const parts = [...flags.map((flag) => `pg_catalog.${flag}(${value})`), ...ends];
      return whenGiven(value, `ROW(${parts.join(', ')})::pg_catalog.text`);
    }
  }
}

/** A cast yields what is stored, with the declared encoding; the output function, by which xml is moved, drops that. */
const isXml = (shape: TypeShape): boolean => shape.kind === 'scalar' && shape.type === 'xml';

/** As text moves it: NaN is of the server's own bits there, while -0 and 0 remain two values. */
function oneNaN(value: string, type: string): string {
  const nan = notANumber(type);
  return nan === undefined ? value : `CASE WHEN ${value} OPERATOR(pg_catalog.=) ${nan} THEN ${nan} ELSE ${value} END`;
}

const notANumber = (type: string): string | undefined =>
  type === 'real' || type === 'double precision' ? `'NaN'::pg_catalog.${builtInName(type)}` : undefined;

/**
 * The bits of an array name its element type by object id, which is the same everywhere only for built-in types. Bytes 5
 * to 8 say whether there is room for NULLs, which a server keeps when the last of them has gone, and text does not move.
 */
function portableArray(value: string, { element, foreign }: TypeShape & { kind: 'array' }, depth: number): string {
  if (element.kind === 'scalar' && !foreign) {
    const array = `${value}::pg_catalog.${builtInName(element.type)}[]`;
    const nan = notANumber(element.type);
    const sent = `pg_catalog.array_send(${nan === undefined ? array : `pg_catalog.array_replace(${array}, ${nan}, ${nan})`})`;
    return hex(`pg_catalog.overlay(${sent}, '\\x00000000'::pg_catalog.bytea, 5, 4)`);
  }
  const item = `e${depth}`;
  return whenGiven(
    value,
    sql`(SELECT pg_catalog.concat(pg_catalog.array_dims(${value}), pg_catalog.array_agg(
      ${portable(`${item}.v`, element, depth + 1)} ORDER BY ${item}.n)::pg_catalog.text)
      FROM (SELECT s.v, pg_catalog.row_number() OVER () AS n FROM (SELECT pg_catalog.unnest(${value}) AS v) s) ${item})`,
  );
}

const builtInName = (type: string): string => ({ real: 'float4', 'double precision': 'float8' })[type] ?? type;

/** A composite of NULLs IS NULL, but is not the NULL value; only the latter yields NULL here. */
const whenGiven = (value: string, text: string): string =>
  `CASE WHEN pg_catalog.num_nonnulls(${value}) = 1 THEN ${text} END`;

function needsBits(shape: TypeShape): boolean {
  switch (shape.kind) {
    case 'scalar':
      return !shape.foreign && shape.type in senders;
    case 'array':
      return needsBits(shape.element);
    case 'composite':
      return shape.fields.some((field) => needsBits(field.shape));
    case 'range':
      return needsBits(shape.bound);
  }
}
