import { renameSync } from 'node:fs';
import { madeByHand } from './archive/made-by-hand';
import { begunEntries } from './archive/make-entries';
import { applicationEntries } from './archive/post-data';
import { markRestored, prepareRestored, restoredEntries } from './archive/restored';
import { dumpSchema, schemaArchive } from './archive/schema-dump';
import { identityOf, readToc, type TocEntry } from './archive/toc';
import { capture } from './capture';
import { CAPTURED_FACT, inspectCapture, type Captured } from './capture/check';
import { refuseExcluded } from './capture/excluded';
import { forgetDropped } from './capture/forget-dropped';
import { readRelations } from './catalog/relations';
import type { Context } from './context';
import { copyAll } from './copy';
import { claimMove } from './cutover/claim';
import { Failure } from './errors';
import { closeTarget } from './fence/target';
import { requireStanding } from './fence/standing';
import { copiedRelations, prepareLeases } from './lease';
import type { Phase, PhaseOutcome } from './phase';
import { makePreData } from './schema/pre-data';
import { copyRoles } from './schema/roles';
import { inTransaction } from './schema/tried';
import { readForeignOwners, readSourceRoles } from './schema/source-roles';
import { CONSTRAINTS_FACT, sync } from './sync';
import type { Ends } from './sync/applier';
import { acceptAltered, watchCatalog } from './sync/catalog-watch';

/** Takes in what was defined on the source since the migration began, while the sync goes on. */
export const add: Phase = { name: 'add', after: ['sync'], once: false, braked: true, run };

/**
 * Schema, capture, copy and sync once more, for what is new alone, and in this order, so that no change is missed: the
 * triggers are there before the first row is read. May be repeated at any point: what of a new table is done is known
 * from the target (made, copied) and the source (captured), as in those phases.
 */
async function run(context: Context): Promise<PhaseOutcome> {
  await claimMove(context);
  const ends: Ends = { source: await context.connect('source'), target: await context.connect('target') };
  const standing = await requireStanding(ends);
  if (standing.kind !== 'serves' || standing.end === 'target') {
    throw new Failure('writes have been moved to the target already, and only what is there can be taken in');
  }
  const dropped = await forgetDropped(context, ends, 'add');
  await refuseExcluded(context);
  await refuseGaps(context, ends);
  const entries = await defineNew(context, ends);
  const relations = await readRelations(ends.source, context.config);
  const copied = await copiedRelations(ends.target);
  const appeared = relations.filter((relation) => !copied.has(relation.sql)).map((relation) => relation.sql);
  // Before anything is taken for known: a run that is killed after that must come by here again.
  if (entries > 0 || appeared.length > 0) await context.state.setFact(CONSTRAINTS_FACT, false);
  const altered = await acceptAltered(context, ends, relations, () => context.state.setFact(CONSTRAINTS_FACT, false));
  if (!(await context.state.fact(CONSTRAINTS_FACT))) {
    await capture.run(context);
    // Also of what has its rows: a run that was killed may have come no further, without keys and statistics.
    await copyAll(context);
  }
  // A run that was killed may have left the sync standing still; one that goes on is only asked how near it is.
  await sync.run(context);
  const left = await watchCatalog(context, ends.source);
  await context.evidence('what is new is taken in', left.length === 0, 'watchCatalog', {
    appeared,
    altered,
    dropped,
    left,
  });
  if (left.length > 0) throw new Failure(left.join('; '));
  return {
    message: `${appeared.length} new tables, ${entries} new objects and ${altered.length} altered tables taken in${forgotten(dropped)}; start verify`,
    result: { appeared, entries, altered, dropped },
  };
}

const forgotten = (dropped: readonly string[]): string =>
  dropped.length === 0 ? '' : `, ${dropped.length} dropped ones forgotten`;

/** What happened to a table that was captured and copied before cannot be mended here. */
async function refuseGaps(context: Context, { source }: Ends): Promise<void> {
  const captured = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const relations = await readRelations(source, context.config);
  const { problems } = await inspectCapture(context, source, relations);
  const lost = Object.keys(captured).flatMap((name) => problems.get(name) ?? []);
  if (lost.length > 0) {
    throw new Failure(`changes may have been missed: ${lost.join('; ')}; run cleanup and migrate again`);
  }
}

/**
 * Makes on the target what the source has and the archive of its definitions has not, as far as that comes before the
 * rows, closes it, and keeps the new archive, whose indexes and constraints are built later. What the target has already
 * counts as made. Returns how many entries are new.
 *
 * @throws Failure before anything is made when the target has one of them otherwise
 */
export async function defineNew(context: Context, { source, target }: Ends): Promise<number> {
  const { config } = context;
  const kept = schemaArchive(config.host.stateDirectory);
  const known = new Set((await readToc(config, kept)).map(identityOf));
  const archive = await dumpSchema(context);
  await prepareRestored(target);
  const restored = await restoredEntries(target);
  const isNew = (entry: TocEntry): boolean => !known.has(identityOf(entry)) && !restored.has(entry.key);
  const allPreData = await applicationEntries(source, await readToc(config, archive, 'pre-data'));
  const postData = await applicationEntries(source, await readToc(config, archive, 'post-data'));
  const begun = begunEntries(restored);
  const missing = [...allPreData.filter(isNew), ...postData.filter(({ key }) => !begun.has(key))];
  const made = await madeByHand(context, { source, target }, allPreData, missing);
  const isLeft = (entry: TocEntry): boolean => isNew(entry) && !made.has(entry.key);
  const preData = allPreData.filter(isLeft);
  const roles = await readSourceRoles(source, config);
  if (preData.length > 0) {
    await copyRoles(target, config, roles);
    await makePreData(context, source, target, {
      archive,
      entries: preData,
      marks: preData.map(({ key }) => key),
      owners: await readForeignOwners(source, config),
      roles: roles.map(({ name }) => name),
    });
  }
  await inTransaction(target, async () => {
    for (const { key } of postData) if (made.has(key)) await markRestored(target, key);
  });
  await keepRenamed(context, { source, target }, postData);
  await prepareLeases(target, await readRelations(source, config));
  await closeTarget(context, target);
  const added = preData.length + postData.filter(isLeft).length;
  if (added > 0) await context.state.setFact(CONSTRAINTS_FACT, false);
  renameSync(archive, kept);
  return added;
}

/** An object with a new name or owner is the same, although its entry's text is another: it is not made twice. */
async function keepRenamed(context: Context, { target }: Ends, postData: readonly TocEntry[]): Promise<void> {
  const restored = await restoredEntries(target);
  const made = new Set([...restored].map((key) => /^\d+ [1-9]\d*(?= )/.exec(key)?.[0]));
  const renamed = postData.filter(
    (entry) => entry.oid !== 0 && !restored.has(entry.key) && made.has(identityOf(entry)),
  );
  if (renamed.length === 0) return;
  context.log.info({ renamed: renamed.map(({ text }) => text) }, 'known under another name');
  await inTransaction(target, async () => {
    for (const { key } of renamed) await markRestored(target, key);
  });
}
