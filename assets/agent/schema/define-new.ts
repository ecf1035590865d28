import { existsSync, renameSync } from 'node:fs';
import { attachLast } from '../archive/attach-last';
import { lacking } from '../archive/lacking';
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

/**
 * Makes on the target what the source has and the archive of its definitions has not, as far as that comes before the
 * rows, closes it, and keeps the new archive, whose indexes and constraints are built later. What the target has already
 * counts as made. Where that archive is lost, what the target lacks is made. Returns how many entries are new.
 *
 * @throws Failure before anything is made when the target has one of them otherwise
 */
export async function defineNew(context: Context, ends: Ends): Promise<number> {
  const { config } = context;
  const { source, target } = ends;
  const kept = schemaArchive(config.host.stateDirectory);
  const before = existsSync(kept) ? new Set((await readToc(config, kept)).map(identityOf)) : undefined;
  const archive = await dumpSchema(context);
  await prepareRestored(target);
  const restored = await restoredEntries(target);
  const allPreData = await applicationEntries(source, await readToc(config, archive, 'pre-data'));
  const postData = await applicationEntries(source, await readToc(config, archive, 'post-data'));
  const begun = begunEntries(restored);
  const missing = postData.filter(({ key }) => !begun.has(key));
  // Without the archive only the target itself tells what was made there.
  const anew = before ? new Set<string>() : await lacking(context, ends, allPreData);
  const isNew = (entry: TocEntry): boolean =>
    !restored.has(entry.key) && (before ? !before.has(identityOf(entry)) : anew.has(entry.key));
  const made = await madeByHand(context, ends, allPreData, [...allPreData.filter(isNew), ...missing]);
  const preData = allPreData.filter((entry) => isNew(entry) && !made.has(entry.key));
  const renamed = renamedOf(restored, missing, made);
  const left = missing.filter((entry) => !made.has(entry.key) && !renamed.includes(entry));
  const { entries, early } = await attachLast(ends, allPreData, preData, left);
  const roles = await readSourceRoles(source, config);
  if (entries.length > 0) {
    await copyRoles(target, config, roles);
    await makePreData(context, source, target, {
      archive,
      entries,
      marks: entries.map(({ key }) => key),
      owners: await readForeignOwners(source, config),
      roles: roles.map(({ name }) => name),
    });
  }
  if (renamed.length > 0) context.log.info({ renamed: renamed.map(({ text }) => text) }, 'known under another name');
  const known = [...missing.filter(({ key }) => made.has(key)), ...renamed];
  await markRestored(target, ...known.map(({ key }) => key));
  await prepareLeases(target, await readRelations(source, config));
  await closeTarget(context, target);
  const added = preData.length + left.filter((entry) => isNew(entry) && !early.has(entry.key)).length;
  if (added > 0) await context.state.setFact(CONSTRAINTS_FACT, false);
  renameSync(archive, kept);
  return added;
}

/** An object with a new name or owner is the same, although its entry's text is another: it is not made twice. */
function renamedOf(
  restored: ReadonlySet<string>,
  missing: readonly TocEntry[],
  made: ReadonlySet<string>,
): readonly TocEntry[] {
  const there = new Set([...restored].map((key) => /^\d+ [1-9]\d*(?= )/.exec(key)?.[0]));
  return missing.filter((entry) => entry.oid !== 0 && !made.has(entry.key) && there.has(identityOf(entry)));
}
