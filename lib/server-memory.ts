import type { ResolvedTarget } from './settings';

const GIB = 1_073_741_824;

/** Memory of the smallest sizes of the burstable families; GiB. */
const BURSTABLE: Readonly<Record<string, number>> = {
  micro: 1,
  small: 2,
  medium: 4,
  large: 8,
  xlarge: 16,
  '2xlarge': 32,
};

/** GiB for each `xlarge` by the first letter of the family: 4 vCPUs, of which m has 4 GiB each, r 8, x 16. */
const PER_XLARGE: Readonly<Record<string, number>> = { m: 16, r: 32, x: 64 };

/**
 * Memory of one server of the target; bytes. The x2i families have twice as much as is told here, which makes alarms
 * come early, never late.
 */
export function serverMemory(target: ResolvedTarget): number {
  if (target.engine === 'aurora-postgresql' && target.serverless) return target.serverless.maxCapacity * 2 * GIB;
  const [, family = '', size = ''] = target.instanceClass.split('.');
  if (family.startsWith('t')) return (BURSTABLE[size] ?? 1) * GIB;
  const xlarges = size === 'large' ? 0.5 : Number(size.replace('xlarge', '') || 1);
  return xlarges * (PER_XLARGE[family[0] ?? ''] ?? 16) * GIB;
}

/** Connections that the engine allows by default, out of the memory: LEAST(DBInstanceClassMemory / 9531392, 5000). */
export function maxConnections(target: ResolvedTarget): number {
  return Math.min(5_000, Math.floor(serverMemory(target) / 9_531_392));
}
