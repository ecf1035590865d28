/** The phases of a migration, in order; each has a command of the host program and a runbook. */
export const PHASES = [
  'assess',
  'schema',
  'capture',
  'dump',
  'restore',
  'copy',
  'sync',
  'add',
  'verify',
  'plans',
  'ready',
  'cutover',
  'watch',
  'rollback',
  'finalize',
  'cleanup',
] as const;

/** How the rows get to the target: `AgentConfig.copy.method`. */
export type CopyMethod = 'dump' | 'stream' | 'onetimecopy';

/** Phases that are no part of a migration that goes well: a person starts them, and `migrate` does not. */
export const ASIDE: readonly Phase[] = ['add', 'rollback', 'finalize'];

/** The phases that a migration goes through when its rows are copied in this way. */
export const phasesOf = (method: CopyMethod): readonly Phase[] =>
  PHASES.filter((phase) => !ASIDE.includes(phase)).filter((phase) =>
    method === 'dump' ? phase !== 'copy' : phase !== 'dump' && phase !== 'restore',
  );

export type Phase = (typeof PHASES)[number];
