/** The phases of a migration, in order; each has a command of the host program and a runbook. */
export const PHASES = [
  'assess',
  'schema',
  'capture',
  'dump',
  'restore',
  'sync',
  'verify',
  'cutover',
  'cleanup',
] as const;

export type Phase = (typeof PHASES)[number];
