import { renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context';
import { hiddenSchemas } from '../catalog/schemas';
import { prepareServices, runTool } from './client-tools';

/** The archive with the source's definitions. */
export const schemaArchive = (stateDirectory: string): string => join(stateDirectory, 'schema.dump');

/** Longest time that a dump waits for a table that is locked exclusively; milliseconds. */
const LOCK_WAIT_MS = 60_000;

/** A name as a pattern that pg_dump takes for that name alone. */
const pattern = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What every pg_dump of ours leaves out and how long it waits. */
export function dumpOptions(context: Context): string[] {
  const schemas = hiddenSchemas(context.config).map((schema) => `--exclude-schema=${pattern(schema)}`);
  return [
    ...schemas,
    '--encoding=UTF8',
    '--no-publications',
    '--no-subscriptions',
    `--lock-wait-timeout=${LOCK_WAIT_MS}`,
  ];
}

/**
 * Dumps the source's definitions and keeps the archive in the place of an earlier one: as long as nothing of that is on the
 * target, the source may have been corrected meanwhile. Returns its path.
 */
export async function makeSchemaArchive(context: Context): Promise<string> {
  const archive = schemaArchive(context.config.host.stateDirectory);
  renameSync(await dumpSchema(context), archive);
  return archive;
}

/** Dumps the source's definitions as they are now, beside the archive that is kept. Returns the path. */
export async function dumpSchema(context: Context): Promise<string> {
  const { config } = context;
  await prepareServices(context, ['source']);
  const partial = `${schemaArchive(config.host.stateDirectory)}.partial`;
  const args = ['--schema-only', '--format=custom', `--file=${partial}`, ...dumpOptions(context)];
  await runTool(config, 'pg_dump', args, { end: 'source' });
  return partial;
}
