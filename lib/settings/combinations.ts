import { MOST_SYNCS } from '../../assets/agent/bucardo/names';
import type { Mistakes } from './check';
import type { Combination } from './combination';
import { M6I_EBS_LIMITS } from './ebs-limits';
import { networkCombinations } from './network-combinations';
import { poolerCombinations } from './pooler-combinations';
import { targetCombinations } from './target-combinations';
import type { ResolvedSettings } from './types';

const combinations: readonly Combination[] = [
  ...targetCombinations,
  ...networkCombinations,
  ...poolerCombinations,
  [
    ['agent.sync'],
    ({ agent: { sync } }, mistakes) => {
      const most = MOST_SYNCS - sync.groups.length;
      if (sync.syncs > most) {
        mistakes.add(
          'agent.sync.syncs',
          sync.syncs,
          `must be at most ${most}: ${MOST_SYNCS} syncs with those of groups`,
        );
      }
      if (sync.takeBackKeys !== 0 && sync.takeBackKeys < 2 * sync.handoverKeys) {
        mistakes.add(
          'agent.sync.takeBackKeys',
          sync.takeBackKeys,
          `must be 0 for never, or at least ${2 * sync.handoverKeys}, twice agent.sync.handoverKeys: what is handed over would be taken back at once`,
        );
      }
    },
  ],
  [
    ['agent.ready', 'notifications'],
    ({ agent: { ready }, notifications: { approvers } }, mistakes) => {
      if (approvers.length === 0 || ready.approvals <= approvers.length) return;
      mistakes.add(
        'agent.ready.approvals',
        ready.approvals,
        `must be at most ${approvers.length}: notifications.approvers names no more who may approve`,
      );
    },
  ],
  [
    ['agent.cutover.readersFirst'],
    ({ agent: { cutover } }, mistakes) => {
      const { switches } = cutover.readersFirst;
      if (!switches.some(({ kind }) => kind === 'pooler')) return;
      mistakes.add(
        'agent.cutover.readersFirst.switches',
        switches,
        'must not hold "pooler": a pooler leads readers and writers at once',
      );
    },
  ],
  [
    ['agent.watch', 'agent.cutover.wayBack'],
    ({ agent: { watch, cutover } }, mistakes) => {
      if (watch.onBad !== 'rollback') return;
      if (cutover.wayBack !== 'armed')
        mistakes.add('agent.watch.onBad', watch.onBad, 'needs agent.cutover.wayBack "armed": there is no way back');
      if (watch.badLooks * watch.everySeconds > watch.seconds)
        mistakes.add(
          'agent.watch.badLooks',
          watch.badLooks,
          `must be at most ${Math.floor(watch.seconds / watch.everySeconds)}: a watch of ${watch.seconds} s has no more looks`,
        );
    },
  ],
  [
    ['source.fork', 'agent.copy.method'],
    ({ source, agent }, mistakes) => {
      if (source.fork === undefined || agent.copy.method === 'dump') return;
      mistakes.add(
        'source.fork',
        source.fork,
        `needs agent.copy.method "dump": "${agent.copy.method}" reads the source itself, which the fork is meant to spare`,
      );
    },
  ],
  [
    ['source'],
    ({ source: { reach, cidrs, fork } }, mistakes) => {
      if (reach !== 'private' || cidrs === 'anywhere' || fork?.cidrs !== 'anywhere') return;
      mistakes.add('source.fork.cidrs', fork.cidrs, 'must name networks, as source.cidrs does with reach "private"');
    },
  ],
  [
    ['source.fork', 'source.secretArn'],
    ({ source }, mistakes) => {
      if (source.fork?.secretArn === undefined || source.fork.secretArn !== source.secretArn) return;
      mistakes.add(
        'source.fork.secretArn',
        source.fork.secretArn,
        'must not be source.secretArn: it holds the address of the source, which would be dumped itself',
      );
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
