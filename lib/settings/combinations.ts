import type { Mistakes } from './check';
import { overlap } from './cidr';
import { M6I_EBS_LIMITS } from './ebs-limits';
import type { ResolvedSettings } from './types';

/** Checks one combination of fields; only called when each of them is right by itself. */
type Combination = readonly [
  fields: readonly string[],
  check: (settings: ResolvedSettings, mistakes: Mistakes) => void,
];

const combinations: readonly Combination[] = [
  [
    ['source.version', 'target.version'],
    ({ source, target }, mistakes) => {
      if (Number.parseInt(target.version, 10) < source.version) {
        mistakes.add('target.version', target.version, `must not be older than the source, which is ${source.version}`);
      }
    },
  ],
  [
    ['source.reach', 'source.cidrs'],
    ({ source }, mistakes) => {
      if (source.reach === 'private' && source.cidrs.length === 0) {
        mistakes.add('source.cidrs', source.cidrs, 'must name the networks of a source with reach "private"');
      }
    },
  ],
  [
    ['source.reach', 'source.cidrs', 'network.cidr'],
    ({ source, network }, mistakes) => {
      for (const cidr of source.reach === 'private' ? source.cidrs : []) {
        if (overlap(cidr, network.cidr)) {
          mistakes.add('network.cidr', network.cidr, `must not overlap source.cidrs (${cidr}): it could not be routed`);
        }
      }
    },
  ],
  [
    ['network.availabilityZones', 'network.natGateways'],
    ({ network }, mistakes) => {
      const zones = network.availabilityZones?.length ?? 2;
      if (network.natGateways > zones) {
        mistakes.add('network.natGateways', network.natGateways, `must be at most ${zones}, one for each zone`);
      }
    },
  ],
  [
    ['endpoint.allowedCidrs', 'endpoint.allowEveryAddress'],
    ({ endpoint }, mistakes) => {
      if (!endpoint.allowEveryAddress && endpoint.allowedCidrs.some((cidr) => cidr.endsWith('/0'))) {
        mistakes.add(
          'endpoint.allowedCidrs',
          endpoint.allowedCidrs,
          "must not hold 0.0.0.0/0: name the applications' networks, or say endpoint.allowEveryAddress: true",
        );
      }
    },
  ],
  [
    ['host.volume'],
    ({ host: { volume } }, mistakes) => {
      if (volume.iops > volume.sizeGiB * 500) {
        mistakes.add(
          'host.volume.iops',
          volume.iops,
          `must be at most ${volume.sizeGiB * 500}: gp3 gives 500 for each GiB`,
        );
      }
      if (volume.throughputMiBs > volume.iops / 4) {
        mistakes.add(
          'host.volume.throughputMiBs',
          volume.throughputMiBs,
          `must be at most ${Math.floor(volume.iops / 4)}: gp3 gives a quarter MiB/s for each of host.volume.iops`,
        );
      }
    },
  ],
  [
    ['host.volume', 'host.instanceType'],
    ({ host: { volume, instanceType } }, mistakes) => {
      const most = M6I_EBS_LIMITS[instanceType];
      if (!most) return;
      if (volume.iops > most.iops) {
        mistakes.add('host.volume.iops', volume.iops, `must be at most ${most.iops}, what ${instanceType} sustains`);
      }
      if (volume.throughputMiBs > most.throughputMiBs) {
        mistakes.add(
          'host.volume.throughputMiBs',
          volume.throughputMiBs,
          `must be at most ${most.throughputMiBs}, what ${instanceType} sustains`,
        );
      }
    },
  ],
];

/** Checks what no field can tell alone. */
export function checkCombinations(settings: ResolvedSettings, mistakes: Mistakes): void {
  const sound = combinations.filter(([fields]) => mistakes.none(...fields));
  for (const [, check] of sound) check(settings, mistakes);
}
