import { renameSync } from 'node:fs';
import { madeByHand } from '../archive/made-by-hand';
import { begunEntries } from '../archive/make-entries';
import { applicationEntries } from '../archive/post-data';
import { markRestored, prepareRestored, restoredEntries } from '../archive/restored';
import { dumpSchema, schemaArchive } from '../archive/schema-dump';
import { identityOf, readToc, type TocEntry } from '../archive/toc';
import { readRelations } from '../catalog/relations';
import type { Context } from '../context';
import { closeTarget } from '../fence/target';
import { prepareLeases } from '../lease';
import { CONSTRAINTS_FACT } from '../sync';
import type { Ends } from '../sync/applier';
import { makePreData } from './pre-data';
import { copyRoles } from './roles';
import { readForeignOwners, readSourceRoles } from './source-roles';
import { inTransaction } from './tried';

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
  // A partition that is attached is given the indexes of its table at once.
  const later = postData.filter(({ key }) => !begun.has(key) && !made.has(key));
  const attached = preData.length > 0 ? await madeByHand(context, { source, target }, allPreData, later) : new Set();
  await inTransaction(target, async () => {
    for (const { key } of postData) if (made.has(key) || attached.has(key)) await markRestored(target, key);
  });
  await keepRenamed(context, { source, target }, postData);
  await prepareLeases(target, await readRelations(source, config));
  await closeTarget(context, target);
  const added = preData.length + postData.filter((entry) => isLeft(entry) && !attached.has(entry.key)).length;
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
