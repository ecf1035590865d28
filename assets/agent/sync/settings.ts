import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { readHandlers } from '../bucardo/handlers';
import { syncNames } from '../bucardo/names';
import { possibleSyncs } from '../capture/truncate-triggers';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { syncCount } from './count';

/** Fact, in the state, of the settings that Bucardo was last told of, as `settingsOf` has them. */
export const SETTINGS_FACT = 'sync.settings';

/**
 * A digest of all settings that Bucardo is told of, with the text of the handlers and the syncs that the triggers allow.
 * Throws Failure for a handler that is missing or does not compile.
 */
export async function settingsOf(context: Context, source: Client, relations: readonly Relation[]): Promise<string> {
  const { checkSeconds, groups, syncs, handlers } = context.config.sync;
  const code = await readHandlers(handlers, syncNames(syncCount(context.config)));
  const names = await possibleSyncs(context, source, relations);
  return createHash('sha256')
    .update(JSON.stringify([checkSeconds, groups, syncs, names, code]))
    .digest('hex');
}
