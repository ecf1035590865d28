import { isApplicationSchema } from '../catalog/schemas';

/** Condition on `n`, the namespace of an object; its parameter is the list of hidden schemas. */
export const SCHEMA = isApplicationSchema('n.nspname', '$1');

/** Condition that an object is the application's own: objects of extensions come with them. */
export const notOfExtension = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalog}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

/** From 14 on, servers write IN before the arguments of procedures. */
const withoutIn = (args: string): string => `regexp_replace(${args}, '(^|, )IN ', '\\1', 'g')`;

/** A routine's name with its arguments, of `p` and its namespace `n`. */
export const ROUTINE = `format('%I.%I(%s)', n.nspname, p.proname, ${withoutIn('pg_get_function_identity_arguments(p.oid)')})`;

/** Names of columns of one relation in the order given, of numbers that differ between servers where columns were dropped. */
export const columnNames = (relation: string, numbers: string, order: 'given' | 'by name'): string =>
  `(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY ${order === 'given' ? 'u.n' : 'a.attname'})
    FROM unnest(${numbers}) WITH ORDINALITY AS u (attnum, n) JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = u.attnum)`;
