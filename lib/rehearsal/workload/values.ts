import { literal } from '../../../assets/agent/sql';

/** What of a column's type decides which values it can take. */
export interface ValueType {
  /** Type with modifier, as `format_type` names it, e.g. `public.email` for a domain. */
  type: string;
  /** The same without domains, e.g. `character varying(20)`. */
  base: string;
  /** Labels, if it is an enum. */
  labels?: string[] | undefined;
}

/**
 * SQL of a value that no other row has, made of a number that no other call gets; undefined for types without one.
 * Short types (smallint, varchar(2)) have few values, so theirs may collide.
 */
export function freshValue(column: ValueType, unique: number): string | undefined {
  const n = `${unique}::int8`;
  const { name, modifiers } = parts(column.base);
  const value = ((): string | undefined => {
    switch (name) {
      case 'smallint':
        return `${n} % 32000`;
      case 'integer':
        return `1000000000 + ${n} % 1100000000`;
      case 'bigint':
        return `4000000000000 + ${n}`;
      case 'numeric':
        return modifiers.length === 0 ? n : `${n} % (10::numeric ^ ${(modifiers[0] ?? 1) - (modifiers[1] ?? 0)})::int8`;
      case 'real':
        return `${n} % 16000000`;
      case 'double precision':
        return n;
      case 'text':
      case 'name':
      case 'citext':
      case 'character varying':
      case 'character':
        return literal(shortText(unique, modifiers[0] ?? (name === 'character' ? 1 : 40)));
      case 'uuid':
        return `md5(${literal(String(unique))})`;
      case 'bytea':
        return `decode(md5(${literal(String(unique))}), 'hex')`;
      case 'timestamp with time zone':
      case 'timestamp without time zone':
        return `timestamp '2001-01-01' + ${n} * interval '1 second'`;
      case 'date':
        return `date '1900-01-01' + (${n} % 60000)::int4`;
      case 'time without time zone':
        return `time '00:00' + ${n} * interval '1 microsecond'`;
      case 'interval':
        return `${n} * interval '1 second'`;
      case 'inet':
      case 'cidr':
        return `inet '10.0.0.0' + ${n} % 16777216`;
      case 'macaddr':
        return `lpad(to_hex(${n}), 12, '0')`;
      case 'json':
      case 'jsonb':
        return `json_build_object('ibex', ${n})`;
      case 'point':
        return `point(${n}, 0.1)`;
      case 'int4range':
        return `int4range((${n} % 2000000000)::int4, (${n} % 2000000000 + 1)::int4)`;
      case 'int8range':
        return `int8range(${n}, ${n} + 1)`;
      case 'numrange':
        return `numrange(${n}, ${n} + 1)`;
      case 'daterange':
        return `daterange(date '1900-01-01' + (${n} % 600000)::int4, date '1900-01-02' + (${n} % 600000)::int4)`;
      case 'tsrange':
      case 'tstzrange':
        return `${name}(timestamp '2001-01-01' + ${n} * interval '1 second', timestamp '2001-01-01' + (${n} + 1) * interval '1 second')`;
      default:
        return undefined;
    }
  })();
  return value === undefined ? undefined : `(${value})::${column.type}`;
}

/**
 * SQL of a value near the present one, in terms of the column (quoted by the caller): a number grows, a text gets a
 * short mark in front, an object a member. Undefined for types that are left alone.
 */
export function alteredValue(column: ValueType, quoted: string, unique: number): string | undefined {
  const { name, modifiers, array } = parts(column.base);
  const mark = literal(shortText(unique, 12));
  const value = ((): string | undefined => {
    if (column.labels && column.labels.length > 0) return literal(column.labels[unique % column.labels.length]!);
    if (array) {
      const element = freshValue({ type: name, base: name }, unique);
      return element && `(array_prepend(${element}, ${quoted}))[1:8]`;
    }
    switch (name) {
      case 'smallint':
        return wrapped(quoted, '32000');
      case 'integer':
        return wrapped(quoted, '2147483000');
      case 'bigint':
        return wrapped(quoted, '9223372036854775000');
      case 'numeric': {
        if (modifiers.length === 0) return `coalesce(${quoted} + 0.01, 0)`;
        const [precision = 1, scale = 0] = modifiers;
        return wrapped(quoted, `10::numeric ^ ${precision - scale} - 2`, scale === 0 ? '1' : `0.1 ^ ${scale}`);
      }
      case 'real':
      case 'double precision':
        return `coalesce(${quoted} + 0.1, 0.1)`;
      case 'boolean':
        return `NOT coalesce(${quoted}, false)`;
      case 'text':
      case 'citext':
      case 'character varying':
      case 'character': {
        const limit = modifiers[0] ?? (name === 'character' ? 1 : 0);
        if (limit > 0 && limit < 14) return freshValue(column, unique);
        const text = `${mark} || 'z' || regexp_replace(coalesce(${quoted}::text, ''), '^ib[0-9a-y]+z', '')`;
        return limit > 0 ? `left(${text}, ${limit})` : text;
      }
      case 'jsonb':
        return `CASE WHEN jsonb_typeof(${quoted}) = 'object' THEN ${quoted} || jsonb_build_object('ibex', ${unique}::int8)
          ELSE to_jsonb(${unique}::int8) END`;
      case 'timestamp with time zone':
      case 'timestamp without time zone':
        return `coalesce(${quoted}, timestamp '2001-01-01') + interval '1.000001 second'`;
      case 'date':
        return `coalesce(${quoted}, date '2001-01-01') + 1`;
      case 'time without time zone':
      case 'time with time zone':
        return `coalesce(${quoted}, time '12:00') + interval '1 second'`;
      case 'interval':
        return `coalesce(${quoted}, interval '0') + interval '1 second'`;
      case 'inet':
        return `coalesce(${quoted}, inet '10.0.0.0') + 1`;
      case 'money':
        return `coalesce(${quoted}, '0'::money) + '1'::money`;
      case 'bit':
      case 'bit varying':
        return `~ ${quoted}`;
      default:
        return freshValue(column, unique);
    }
  })();
  return value === undefined ? undefined : `(${value})::${column.type}`;
}

const wrapped = (quoted: string, limit: string, step = '1'): string =>
  `CASE WHEN ${quoted} < ${limit} THEN ${quoted} + ${step} ELSE 0 END`;

/** Base 36 with the quickly changing digits last; never a `z`, which ends a mark. With what many quote wrongly, if it fits. */
function shortText(unique: number, limit: number): string {
  const digits = unique.toString(35);
  if (limit >= digits.length + 5) return String.raw`ib${digits}\'`;
  return limit >= digits.length + 2 ? `ib${digits}` : digits.slice(-limit);
}

/** `numeric(10,2)[]` in its parts; the schema of a type of an extension (`public.citext`) is dropped. */
function parts(base: string): { name: string; modifiers: number[]; array: boolean } {
  const array = base.endsWith('[]');
  const modifiers = /\(([\d,-]+)\)/.exec(base)?.[1]?.split(',').map(Number) ?? [];
  const name = base
    .replace(/\(.*?\)/, '')
    .replace(/\[\]$/, '')
    .replace(/^.*\.(?=citext$)/, '');
  return { name, modifiers, array };
}
