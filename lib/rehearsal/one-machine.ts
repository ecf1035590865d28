import { DEFAULT_AGENT } from '../settings/defaults';
import type { ResolvedSettings } from '../settings';

/** Settings section by section, each with only the fields that differ. */
export type Overrides<Settings> = { readonly [Section in keyof Settings]?: Partial<Settings[Section]> };

/** Puts overrides over settings; sections are merged field by field, lists and plain values replaced. */
export function withOverrides<Settings extends object>(base: Settings, overrides: Overrides<Settings> = {}): Settings {
  const isSection = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged = { ...base } as Record<string, unknown>;
  for (const [name, value] of Object.entries(overrides)) {
    const section = merged[name];
    merged[name] = isSection(section) && isSection(value) ? { ...section, ...value } : value;
  }
  return merged as Settings;
}

/** The defaults, for source, target and host on one machine of few cores and little data. */
export const ON_ONE_MACHINE: ResolvedSettings['agent'] = withOverrides(DEFAULT_AGENT, {
  dump: { jobs: 2, compression: 'gzip:1' },
  restore: { jobs: 2 },
  copy: { jobs: 2, processes: 1, indexJobs: 2, maintenanceWorkMemMb: 256, indexWorkers: 0 },
  sync: { handoverKeys: 5_000 },
  // Writers, servers and program share the cores: sessions that wait for one tell nothing of the source.
  brake: { slowSessions: 0, pauseSessions: 0, queueMegabytes: 2_000, queueGrowthMegabytes: 0, hostFreeMegabytes: 0 },
  verify: { chunkRows: 20_000, jobs: 2, settleSeconds: 5 },
});
