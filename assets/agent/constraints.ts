import type { Client } from 'pg';
import { entryScripts } from './archive/entry-sql';
import { indexesFirst } from './archive/index-first';
import { makeEntries } from './archive/make-entries';
import { notValidFirst } from './archive/not-valid-first';
import { applicationEntries, classify, type PostDataEntry } from './archive/post-data';
import { markRestored, prepareRestored, restoredEntries, unrestored } from './archive/restored';
import { schemaArchive } from './archive/schema-dump';
import { readToc } from './archive/toc';
import { readRelations, type Relation } from './catalog/relations';
import { hiddenSchemas, isApplicationSchema } from './catalog/schemas';
import type { AgentConfig } from './config';
import type { Context } from './context';
import { Failure, oneLine } from './errors';
import { uncopiedRelations } from './lease';
import { readForeignOwners } from './schema/source-roles';
import { inTransaction } from './schema/tried';
import { qualified, sql } from './sql';

/**
 * Makes on the target everything that the schema archive holds and that is not there yet: unique and exclusion
 * constraints, foreign keys, triggers, rules, policies, statistics, and fills the materialized views. To be called when
 * the target equals one snapshot of the source and no applier runs. May be repeated at any point: each object and the
 * note that it is made are one transaction. What is of a table whose rows are not all there is left: a key would keep the
 * rest of them out, and a foreign key would be called valid that nobody has looked at.
 *
 * @param restless relations that are of another instant, since they were truncated or rewritten again and again. What is
 *   theirs is tried all the same, since most of it holds at any instant. @default none
 */
export async function buildConstraints(
  context: Context,
  target: Client,
  restless: readonly Relation[] = [],
): Promise<{ built: number; left: number }> {
  const { config, progress, log } = context;
  await prepareRestored(target);
  const archive = schemaArchive(config.host.stateDirectory);
  const source = await context.connect('source');
  const helpers = await Promise.all(
    Array.from({ length: Math.max(0, config.restore.jobs - 1) }, () => context.connect('target')),
  );
  try {
    const relations = await readRelations(source, config);
    const all = await applicationEntries(source, await readToc(config, archive, 'post-data'));
    const uncopied = await uncopiedRelations(target);
    const without = await withAncestors(
      source,
      relations.filter(({ sql: name }) => uncopied.has(name)),
    );
    const missing = await classify(source, await unrestored(target, all), relations);
    // What rests on the keys of such a table does not say so.
    const entries = missing.filter(
      ({ kind, tables }) => without.size === 0 || (kind !== 'other' && !tables.some((table) => without.has(table))),
    );
    const owners = await readForeignOwners(source, config);
    const warnings: string[] = [];
    let built = 0;
    progress.restart();
    const made = (entry: PostDataEntry): void => progress.report((built += 1), entries.length, 'objects', entry.text);
    const scripts = await entryScripts(config, archive, entries);
    await makeEntries(
      {
        workers: [target, ...helpers],
        owners,
        warnings,
        scripts,
        indexesFirst: await indexesFirst(source, entries, scripts),
        notValidFirst: await notValidFirst(source, entries, scripts),
        restless: await namesByOid(source, restless),
        made,
      },
      entries,
    );
    for (const warning of warnings) log.warn(warning);
    const left = missing.length - entries.length;
    // What they are made of may be of such a table.
    return { built: left > 0 ? built : built + (await fillMaterializedViews(source, target, context)), left };
  } finally {
    await Promise.allSettled([source, ...helpers].map((client) => client.end()));
  }
}

/** Oids of these relations, and of all tables that show their rows as their own. */
async function withAncestors(source: Client, relations: readonly Relation[]): Promise<Set<number>> {
  const { rows } = await source.query<{ oid: string }>(
    sql`
      WITH RECURSIVE above (oid) AS (
        SELECT unnest($1::oid[]) UNION SELECT h.inhparent FROM pg_inherits h JOIN above a ON h.inhrelid = a.oid)
      SELECT oid::int8 AS oid FROM above`,
    [relations.map(({ oid }) => oid)],
  );
  return new Set(rows.map(({ oid }) => Number(oid)));
}

/** The names of these relations by their oids, and by those of all tables that show their rows as their own. */
async function namesByOid(source: Client, relations: readonly Relation[]): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  for (const relation of relations) {
    for (const oid of await withAncestors(source, [relation])) names.set(oid, relation.sql);
  }
  return names;
}

/** How many objects of the archive are not on the target yet; the cutover must find none. */
export async function missingConstraints(context: Context, target: Client): Promise<number> {
  const archive = schemaArchive(context.config.host.stateDirectory);
  const entries = await readToc(context.config, archive, 'post-data');
  const missing = await context.with('source', async (source) =>
    unrestored(target, await applicationEntries(source, entries)),
  );
  context.log.info({ missing: missing.map((entry) => entry.text) }, 'objects not yet on the target');
  return missing.length;
}

const MATERIALIZED_VIEWS = sql`
  WITH RECURSIVE relation AS (
    SELECT c.oid, c.relkind, c.relispopulated, n.nspname, c.relname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('m', 'v') AND ${isApplicationSchema('n.nspname', '$1')}),
  uses AS (
    SELECT DISTINCT w.ev_class AS user, d.refobjid AS used FROM pg_rewrite w
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN relation r ON r.oid = d.refobjid WHERE d.refobjid <> w.ev_class),
  depth (oid, level) AS (
    SELECT oid, 0 FROM relation UNION SELECT u.user, d.level + 1 FROM depth d JOIN uses u ON u.used = d.oid)
  SELECT r.nspname AS schema, r.relname AS name FROM relation r JOIN depth d USING (oid)
  WHERE r.relkind = 'm' AND r.relispopulated GROUP BY r.oid, 1, 2 ORDER BY max(d.level), 1, 2`;

/** Quoted names of the materialized views that are filled on the source, those that others rest on first. */
export async function filledViews(source: Client, config: AgentConfig): Promise<string[]> {
  const { rows } = await source.query(MATERIALIZED_VIEWS, [hiddenSchemas(config)]);
  return (rows as { schema: string; name: string }[]).map(({ schema, name }) => qualified(schema, name));
}

/** Fills and analyzes each of them once, whatever was killed in between. Returns how many were filled. */
async function fillMaterializedViews(source: Client, target: Client, { config }: Context): Promise<number> {
  const known = await restoredEntries(target);
  let filled = 0;
  for (const view of await filledViews(source, config)) {
    const entry = `filled ${view}`;
    if (known.has(entry)) continue;
    try {
      await inTransaction(target, async () => {
        await target.query(`REFRESH MATERIALIZED VIEW ${view}`);
        await target.query(`ANALYZE ${view}`);
        await markRestored(target, entry);
      });
    } catch (error) {
      throw new Failure(`materialized view ${view} cannot be filled on the target: ${oneLine(error)}`);
    }
    filled += 1;
  }
  return filled;
}
