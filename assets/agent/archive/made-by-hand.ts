import type { Client } from 'pg';
import { hiddenSchemas } from '../catalog/schemas';
import type { AgentConfig } from '../config';
import type { Context } from '../context';
import type { End } from '../endpoints';
import { Failure } from '../errors';
import { sql } from '../sql';
import type { Ends } from '../sync/applier';
import { readCatalog } from '../verify/catalog-objects';
import { ROUTINE } from '../verify/catalog-sql';
import { compareCatalogs, idOf } from '../verify/compare-catalogs';
import { attachedTables } from './attached-tables';
import { identityOf, type TocEntry } from './toc';

/** Objects of the source as the comparison of catalogs calls them. */
const NAMES = sql`
  SELECT e.class::int8 AS "classOid", e.oid::int8 AS oid, CASE WHEN p.oid IS NULL
    THEN concat_ws(' ', regexp_replace(o.type, '^(.* )?(constraint|statistics)( object)?$', '\\2'),
      regexp_replace(o.identity, '^("([^"]|"")*"|[^" ]+) on ', '\\1 of '))
    ELSE concat_ws(' ', CASE o.type WHEN 'aggregate' THEN o.type ELSE 'function' END, ${ROUTINE}) END AS name
  FROM unnest($1::oid[], $2::oid[]) AS e (class, oid) CROSS JOIN LATERAL pg_identify_object(e.class, e.oid, 0) AS o
  LEFT JOIN pg_proc p ON e.class = 'pg_proc'::regclass AND p.oid = e.oid LEFT JOIN pg_namespace n ON n.oid = p.pronamespace`;

/** What of an end no comparison of catalogs has: its schemas, and what it has attached. */
const BESIDE = sql`
  SELECT format('schema %I', nspname) AS name FROM pg_namespace
  UNION ALL SELECT format('partition %I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relispartition AND c.relkind IN ('r', 'p')`;

/**
 * Those of the entries, by their keys, that are on the target although nothing says that they were restored there: made by
 * hand on both ends, or dropped and made anew under their names on the source.
 *
 * @param preData all entries of that section, which tell the tables that are attached
 * @param entries those that are to be made
 * @throws Failure when one is otherwise on the target
 */
export async function madeByHand(
  context: Context,
  { source, target }: Ends,
  preData: readonly TocEntry[],
  entries: readonly TocEntry[],
): Promise<Set<string>> {
  const names = await namesOf(source, preData, entries);
  if (names.size === 0) return new Set();
  const there = await namesThere(target, context.config, 'target');
  const made = new Map([...names].filter(([, name]) => there.has(name)));
  if (made.size === 0) return new Set();
  const { failures, warnings } = await compareCatalogs(source, target, context.config);
  const others = [...failures, ...(await ownersToSet(target, warnings))].filter((text) =>
    [...made.values()].some((name) => text.startsWith(`${name} `)),
  );
  if (others.length > 0) {
    throw new Failure(
      `the target has already, but otherwise: ${others.join('; ')}; drop it there, or make both alike, then start ${context.phase} again`,
    );
  }
  context.log.info({ made: [...made.values()] }, 'on the target already, as on the source');
  return new Set(made.keys());
}

/** The objects of an end, and what it has attached, by the names of `namesOf`. */
export async function namesThere(client: Client, config: AgentConfig, end: End): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>(BESIDE);
  const objects = await readCatalog(client, hiddenSchemas(config), end);
  return new Set([...rows.map(({ name }) => name), ...objects.map(idOf)]);
}

/** Those warnings which tell of another owner, where the target has the source's: that role would have no right there. */
async function ownersToSet(target: Client, warnings: readonly string[]): Promise<string[]> {
  const { rows } = await target.query<{ name: string }>('SELECT rolname AS name FROM pg_roles');
  return warnings.filter((text) => {
    const [, owner] = / is owned by (.*) on the source, by /.exec(text) ?? [];
    return rows.some(({ name }) => name === owner);
  });
}

/** Names, as `namesThere` has them, of the entries that are objects, and of those that attach a table, by their keys. */
export async function namesOf(
  source: Client,
  preData: readonly TocEntry[],
  entries: readonly TocEntry[],
): Promise<Map<string, string>> {
  const tableOf = attachedTables(preData);
  const of = entries
    .map((entry) => ({ entry, object: tableOf(entry) ?? entry }))
    .filter(({ object }) => object.classOid !== 0 && object.oid !== 0);
  const objects = of.map(({ object }) => object);
  const { rows } = await source.query<{ classOid: string; oid: string; name: string }>(NAMES, [
    objects.map(({ classOid }) => classOid),
    objects.map(({ oid }) => oid),
  ]);
  const names = new Map(rows.map(({ classOid, oid, name }) => [`${classOid} ${oid}`, name]));
  return new Map(
    of.flatMap(({ entry, object }) => {
      const name = names.get(identityOf(object));
      if (name === undefined) return [];
      return [[entry.key, object === entry ? name : name.replace(/^table /, 'partition ')]];
    }),
  );
}
