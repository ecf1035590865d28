import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { concernsAll, inOne } from '../failures';
import { readForeignOwners } from '../schema/source-roles';
import { sql } from '../sql';
import { runTasks, type Task } from '../tasks';
import { entryScripts } from './entry-sql';
import { indexesFirst } from './index-first';
import { entryTask, type EntryMaker } from './make-entries';
import { applicationEntries, classify, type EntryKind, type PostDataEntry } from './post-data';
import { prepareRestored, unrestored } from './restored';
import { schemaArchive } from './schema-dump';
import { CATALOG, readToc } from './toc';

/** Kinds that are built before changes are applied: the keys first, since applying looks rows up by them. */
const EARLY: readonly EntryKind[] = ['key', 'plain index'];

/** A key or an index that is to be built. */
export interface IndexEntry extends PostDataEntry {
  /** What it has on the source. */
  readonly bytes: number;
}

/** Reads which keys and plain indexes the target does not have yet: the keys, then the indexes, largest first. */
export async function missingIndexes(
  context: Context,
  source: Client,
  target: Client,
  relations: readonly Relation[],
): Promise<IndexEntry[]> {
  await prepareRestored(target);
  const archive = schemaArchive(context.config.host.stateDirectory);
  const all = await applicationEntries(source, await readToc(context.config, archive, 'post-data'));
  const entries = await classify(source, await unrestored(target, all), relations);
  const sized = await withBytes(
    source,
    entries.filter((entry) => EARLY.includes(entry.kind)),
  );
  return EARLY.flatMap((kind) => sized.filter((entry) => entry.kind === kind).sort((a, b) => b.bytes - a.bytes));
}

/** The source's sizes: the index that takes longest must not be begun last, when all others are done. */
async function withBytes(source: Client, entries: readonly PostDataEntry[]): Promise<IndexEntry[]> {
  const { rows } = await source.query(
    sql`
      SELECT pg_relation_size(coalesce(c.conindid, e.oid))::float8 AS bytes
      FROM unnest($1::oid[], $2::oid[]) WITH ORDINALITY AS e (class, oid, place)
      LEFT JOIN pg_constraint c ON c.oid = e.oid AND e.class = ${CATALOG.constraint} ORDER BY e.place`,
    [entries.map(({ classOid }) => classOid), entries.map(({ oid }) => oid)],
  );
  return entries.map((entry, i) => ({ ...entry, bytes: (rows as { bytes: number | null }[])[i]?.bytes ?? 0 }));
}

/** What it takes to make these entries. @param made called after each */
export async function entryMaker(
  context: Context,
  source: Client,
  workers: readonly Client[],
  entries: readonly PostDataEntry[],
  made: (entry: PostDataEntry) => void,
): Promise<EntryMaker> {
  const archive = schemaArchive(context.config.host.stateDirectory);
  const owners = await readForeignOwners(source, context.config);
  const scripts = await entryScripts(context.config, archive, entries);
  return { workers, owners, warnings: [], scripts, indexesFirst: await indexesFirst(source, entries, scripts), made };
}

/**
 * Builds the keys and plain indexes that the target does not have yet. Returns how many. One that cannot be built does not
 * keep the others from it; which those were is thrown at the end.
 */
export async function buildIndexes(
  context: Context,
  source: Client,
  workers: readonly [Client, ...Client[]],
  relations: readonly Relation[],
): Promise<number> {
  const { progress } = context;
  const missing = await missingIndexes(context, source, workers[0], relations);
  let built = 0;
  progress.restart();
  const maker = await entryMaker(context, source, workers, missing, (entry) =>
    progress.report((built += 1), missing.length, 'indexes', entry.text),
  );
  const failures: unknown[] = [];
  const noting = (task: Task<Client>): Task<Client> => ({
    ...task,
    run: async (worker) => {
      try {
        const next = await task.run(worker);
        return next && noting(next);
      } catch (error) {
        if (concernsAll(error)) throw error;
        context.log.error({ err: error }, 'index not built');
        failures.push(error);
      }
    },
  });
  await runTasks(
    missing.map((entry) => noting(entryTask(maker, entry))),
    workers,
  );
  if (failures.length > 0) throw inOne(failures);
  return built;
}
