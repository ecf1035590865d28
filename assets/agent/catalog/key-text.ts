import { ident } from '../sql';
import type { KeyColumn } from './relations';

/** Types that are not PostgreSQL's own bear the name of their schema: sessions of ours search pg_catalog alone. */
const isForeign = (type: string): boolean => type.includes('.');

/**
 * SQL for a key's column as text, which its type reads back as the same value. By the type's output function where it is
 * one of the application's: a cast to text may be the application's too, and would run with our rights.
 *
 * @param alias of a table that has the column
 */
export function keyText({ name, type }: KeyColumn, alias: string): string {
  const column = `${alias}.${ident(name)}`;
  return isForeign(type) ? `pg_catalog.format('%s', ${column})` : `${column}::pg_catalog.text`;
}

/**
 * SQL type of an array whose elements are given as text, and read by the input function of the column's type; a cast from
 * text may be the application's as well. Of a domain it is the type beneath: servers before 11 have no arrays of domains,
 * and from text to one PostgreSQL takes the cast to the type beneath.
 */
export const keyArray = ({ baseType }: KeyColumn): string =>
  isForeign(baseType) ? `${baseType}[]` : 'pg_catalog.text[]';
