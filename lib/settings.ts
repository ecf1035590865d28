import { Mistakes } from './settings/check';
import { checkCombinations } from './settings/combinations';
import { settingsRule } from './settings/rules';
import type { MigrationSettings, ResolvedSettings } from './settings/types';

export type * from './settings/types';

/**
 * Checks the settings of a migration and fills in every default. Throws one UsageError that lists all mistakes, each
 * with the field's path, its value and what would be right.
 */
export function resolveSettings(settings: MigrationSettings): ResolvedSettings {
  const mistakes = new Mistakes();
  const resolved = settingsRule(settings, '', mistakes);
  checkCombinations(resolved, mistakes);
  mistakes.throwIfAny(`migration ${JSON.stringify(settings?.name ?? null)}`);
  return resolved;
}
