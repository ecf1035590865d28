import type { Client } from 'pg';
import type { Context } from '../context';
import type { Ends } from '../sync/applier';
import { namesOf, namesThere } from './made-by-hand';
import { CATALOG, type TocEntry } from './toc';

/**
 * The entries, by their keys, that have to be made since the target lacks them, for where no archive says what was made
 * there: objects that a catalog lists, on the source only, and what comes with them. Grants, comments and owned sequences,
 * of which no catalog tells to what entry they belong, are made once more then: that changes nothing.
 *
 * @param preData all entries of that section
 */
export async function lacking(
  { config }: Context,
  { source, target }: Ends,
  preData: readonly TocEntry[],
): Promise<Set<string>> {
  const names = await namesOf(source, preData, preData);
  const [listed, there] = [await namesThere(source, config, 'source'), await namesThere(target, config, 'target')];
  const objects = preData.filter(({ key }) => {
    const name = names.get(key);
    return name !== undefined && listed.has(name) && !there.has(name);
  });
  if (objects.length === 0) return new Set();
  const defaults = await defaultsOf(source, objects);
  const others = preData.filter(({ key, classOid, oid }) =>
    oid === 0 ? !names.has(key) : classOid === CATALOG.attributeDefault && defaults.has(oid),
  );
  return new Set([...objects, ...others].map(({ key }) => key));
}

/** Oids of the defaults of columns of these tables. */
async function defaultsOf(source: Client, entries: readonly TocEntry[]): Promise<Set<number>> {
  const tables = entries.filter(({ classOid }) => classOid === CATALOG.class).map(({ oid }) => oid);
  const { rows } = await source.query<{ oid: string }>(
    'SELECT oid::int8 AS oid FROM pg_attrdef WHERE adrelid = ANY ($1::oid[])',
    [tables],
  );
  return new Set(rows.map(({ oid }) => Number(oid)));
}
