import { UsageError } from '../../assets/agent/errors';
import { resolveSettings, type MigrationSettings } from '../../lib/settings';
import { leastSettings } from './app';

/** Where a value stands in the settings. */
export type Path = readonly [keyof MigrationSettings, ...string[]];

/** The least settings with one value put somewhere. */
export function withValue([first, ...rest]: Path, value: unknown): MigrationSettings {
  const copy = structuredClone(leastSettings) as unknown as Record<string, unknown>;
  let node = copy;
  const names = [first, ...rest];
  for (const name of names.slice(0, -1)) node = (node[name] ??= {}) as Record<string, unknown>;
  node[names.at(-1) ?? ''] = value;
  return copy as unknown as MigrationSettings;
}

/** The lines of the mistakes in these settings; empty where they are right. */
export const mistakesOf = (settings: unknown): string[] => {
  try {
    resolveSettings(settings as MigrationSettings);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.message.split('\n').slice(1);
  }
  return [];
};
