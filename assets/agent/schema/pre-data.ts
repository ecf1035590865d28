import type { Client } from 'pg';
import { asMember, entrySql, splitEntries } from '../archive/entry-sql';
import { applicationEntries } from '../archive/post-data';
import { markRestored, PRE_DATA, prepareRestored, restoredEntries } from '../archive/restored';
import { CATALOG, readToc, type TocEntry } from '../archive/toc';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { withCreateRights } from './owner-grants';
import { copySettings } from './settings';
import type { ForeignOwner } from './source-roles';
import { inTransaction, tried } from './tried';

/** What the pre-data section left behind. */
export interface PreDataOutcome {
  readonly entries: number;
  /** Settings and grants that the target refused. */
  readonly warnings: readonly string[];
}

/** Session settings under which pg_restore's statements mean the same everywhere. */
const SETTINGS = [
  'SET LOCAL check_function_bodies = false',
  'SET LOCAL xmloption = content',
  `SET LOCAL search_path = ''`,
  'SET LOCAL client_min_messages = warning',
];

/**
 * Restores everything that comes before the rows, its owners, grants and settings, in one transaction with the mark
 * that it is done. Undefined when it was done before.
 */
export async function restorePreData(
  context: Context,
  source: Client,
  target: Client,
  archive: string,
  plan: { readonly owners: readonly ForeignOwner[]; readonly roles: readonly string[] },
): Promise<PreDataOutcome | undefined> {
  await prepareRestored(target);
  if ((await restoredEntries(target)).has(PRE_DATA)) return undefined;
  const entries = await applicationEntries(source, await readToc(context.config, archive, 'pre-data'));
  return makePreData(context, source, target, { ...plan, archive, entries, marks: [PRE_DATA] });
}

/** What of an archive's pre-data section is to be made, and what says afterwards that it is. */
export interface PreDataPlan {
  readonly archive: string;
  readonly entries: readonly TocEntry[];
  /** Left on the target in the same transaction. */
  readonly marks: readonly string[];
  readonly owners: readonly ForeignOwner[];
  readonly roles: readonly string[];
}

/** Makes entries of a pre-data section, in one transaction with their marks. */
export async function makePreData(
  context: Context,
  source: Client,
  target: Client,
  { archive, entries, marks, owners, roles }: PreDataPlan,
): Promise<PreDataOutcome> {
  const { config } = context;
  const isGrant = (entry: TocEntry): boolean => entry.classOid === 0 && entry.text.startsWith('ACL ');
  const isSchema = (entry: TocEntry): boolean => entry.classOid === CATALOG.namespace;
  const schemas = await entrySql(config, archive, entries.filter(isSchema));
  const objects = await entrySql(
    config,
    archive,
    entries.filter((entry) => !isSchema(entry) && !isGrant(entry)),
  );
  const grants = splitEntries(asMember(await entrySql(config, archive, entries.filter(isGrant))));
  const warnings: string[] = [];
  await inTransaction(target, async () => {
    for (const setting of SETTINGS) await target.query(setting);
    await runAll(target, schemas, context.phase);
    await withCreateRights(target, owners, async () => {
      await runAll(target, objects, context.phase);
      for (const grant of grants) {
        const refused = await tried(target, grant);
        if (refused !== undefined) warnings.push(`${grant.split('\n')[1]?.slice(3)} was refused: ${refused}`);
      }
    });
    warnings.push(...(await copySettings(source, target, roles)));
    for (const made of marks) await markRestored(target, made);
  });
  return { entries: entries.length, warnings };
}

/** Runs a script as it is; when it fails, runs it once more in parts to learn which entry it was. */
async function runAll(target: Client, script: string, phase: string): Promise<void> {
  if (script === '') return;
  await target.query('SAVEPOINT script');
  try {
    await target.query(script);
    await target.query('RELEASE SAVEPOINT script');
  } catch (error) {
    await target.query('ROLLBACK TO SAVEPOINT script');
    throw new Failure(
      `${await culprit(target, script)} cannot be made on the target: ${oneLine(error)}; nothing was made; correct it on either end and start ${phase} again`,
    );
  }
}

async function culprit(target: Client, script: string): Promise<string> {
  for (const part of splitEntries(script)) {
    try {
      await target.query(part);
    } catch {
      return /^--\n-- (?:Name: )(.*?); Type: (.*?); Schema: (.*?);/.exec(part)?.slice(1, 4).join(', ') ?? 'an object';
    }
  }
  return 'an object';
}
