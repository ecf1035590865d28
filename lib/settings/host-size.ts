import { M6I_EBS_LIMITS } from './ebs-limits';
import type { HostSettings, VolumeSettings } from './types';

/**
 * The host for a database up to so many GiB. Dumping, copying and building of commands run side by side on its
 * processors, and the dump goes through its volume, so both grow with the database; 4xlarge is what a published
 * migration of several terabytes ran on.
 */
const SIZES: readonly { readonly upToGiB: number; readonly instanceType: string }[] = [
  { upToGiB: 100, instanceType: 'm6i.xlarge' },
  { upToGiB: 500, instanceType: 'm6i.2xlarge' },
  { upToGiB: 4_000, instanceType: 'm6i.4xlarge' },
];

/** For what is larger than all of them. */
const LARGEST = 'm6i.8xlarge';

/** The volume beside the dump: Bucardo's database, logs, reports; GiB. */
const BESIDE_GIB = 50;

/** Share of the database that a compressed dump takes at most, as the phase dump reckons, with a third to spare. */
const DUMP_SHARE = 0.65;

/** What gp3 gives for nothing. */
const LEAST = { iops: 3_000, throughputMiBs: 125 };

/** What a volume is asked for where the instance can use it. */
const WANTED = { iops: 6_000, throughputMiBs: 500 };

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

/** Instance and volume for a database of so many GiB, on the instance type that is given if there is one. */
export function hostForSize(
  databaseGiB: number,
  given?: string,
): { readonly instanceType: string; readonly volume: Required<VolumeSettings> } & HostSettings {
  const instanceType = given ?? SIZES.find(({ upToGiB }) => databaseGiB <= upToGiB)?.instanceType ?? LARGEST;
  const can = M6I_EBS_LIMITS[instanceType] ?? WANTED;
  const iops = Math.max(LEAST.iops, Math.min(WANTED.iops, can.iops));
  return {
    instanceType,
    volume: {
      sizeGiB: Math.min(65_536, roundUp(databaseGiB * DUMP_SHARE + BESIDE_GIB, 10)),
      iops,
      throughputMiBs: Math.max(LEAST.throughputMiBs, Math.min(WANTED.throughputMiBs, can.throughputMiBs, iops / 4)),
    },
  };
}
