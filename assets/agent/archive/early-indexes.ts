import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { readForeignOwners } from '../schema/source-roles';
import { entryScripts } from './entry-sql';
import { makeEntries, type EntryMaker } from './make-entries';
import { applicationEntries, classify, type EntryKind, type PostDataEntry } from './post-data';
import { prepareRestored, unrestored } from './restored';
import { schemaArchive } from './schema-dump';
import { CATALOG, readToc } from './toc';

/** Kinds that are built before changes are applied: the keys first, since applying looks rows up by them. */
const EARLY: readonly EntryKind[] = ['key', 'plain index'];

/** Reads which keys and plain indexes the target does not have yet: the keys, then the indexes, largest first. */
export async function missingIndexes(
  context: Context,
  source: Client,
  target: Client,
  relations: readonly Relation[],
): Promise<PostDataEntry[]> {
  await prepareRestored(target);
  const archive = schemaArchive(context.config.host.stateDirectory);
  const all = await applicationEntries(source, await readToc(context.config, archive, 'post-data'));
  const entries = await classify(source, await unrestored(target, all), relations);
  const bytes = await indexBytes(source, entries);
  const size = ({ oid }: PostDataEntry): number => bytes.get(oid) ?? 0;
  return EARLY.flatMap((kind) => entries.filter((entry) => entry.kind === kind).sort((a, b) => size(b) - size(a)));
}

/** The source's sizes: the index that takes longest must not be begun last, when all others are done. */
async function indexBytes(source: Client, entries: readonly PostDataEntry[]): Promise<Map<number, number>> {
  const { rows } = await source.query(
    `SELECT oid::int8 AS oid, pg_relation_size(oid)::float8 AS bytes FROM pg_class WHERE oid = ANY ($1::oid[])`,
    [entries.filter((entry) => entry.classOid === CATALOG.class).map((entry) => entry.oid)],
  );
  return new Map((rows as { oid: string; bytes: number }[]).map((row) => [Number(row.oid), row.bytes]));
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
  return { workers, owners, warnings: [], scripts, made };
}

/** Builds the keys and plain indexes that the target does not have yet. Returns how many. */
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
  await makeEntries(maker, missing);
  return built;
}
