import type { Combination } from './combination';

const WEEK = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const DAY = 1_440;

/** A window as minutes since Monday, 0:00; a daily one as minutes since midnight. The end may be in the next round. */
function minutes(window: string, round: number): readonly [number, number] {
  const at = (text: string): number => {
    const [minute = 0, hour = 0, day = 0] = text
      .split(':')
      .reverse()
      .map((part) => (WEEK.includes(part) ? WEEK.indexOf(part) : Number(part)));
    return day * DAY + hour * 60 + minute;
  };
  const [from = 0, to = 0] = window.split('-').map(at);
  return [from, to > from ? to : to + round];
}

/** What the target's fields demand of each other, and of the source. */
export const targetCombinations: readonly Combination[] = [
  [
    ['source.version', 'target.version'],
    ({ source, target }, mistakes) => {
      if (Number.parseInt(target.version, 10) < source.version) {
        mistakes.add('target.version', target.version, `must not be older than the source, which is ${source.version}`);
      }
    },
  ],
  [
    ['source.version', 'source.assessOnly'],
    ({ source: { version, assessOnly } }, mistakes) => {
      if (version < 10 === assessOnly) return;
      mistakes.add(
        'source.assessOnly',
        assessOnly,
        version < 10
          ? `must be true for PostgreSQL ${version}: the host program cannot migrate it yet, and a plan that counts on it fails on the day`
          : 'must be false: this source can be migrated',
      );
    },
  ],
  [
    ['target'],
    ({ target }, mistakes) => {
      if (target.engine !== 'aurora-postgresql') return;
      const isServerless = target.instanceClass === 'db.serverless';
      if (isServerless !== (target.serverless !== undefined)) {
        mistakes.add(
          'target.serverless',
          target.serverless,
          isServerless
            ? 'must give the capacity of target.instanceClass "db.serverless": the default of 0.5 ACU cannot take a load'
            : 'must not be given with any target.instanceClass but "db.serverless": it would have no effect',
        );
      }
      if (target.serverless && target.serverless.minCapacity > target.serverless.maxCapacity) {
        mistakes.add(
          'target.serverless.minCapacity',
          target.serverless.minCapacity,
          `must be at most target.serverless.maxCapacity (${target.serverless.maxCapacity})`,
        );
      }
    },
  ],
  [
    ['target.storage'],
    ({ target }, mistakes) => {
      if (target.engine !== 'postgres') return;
      const { type, sizeGiB, iops, throughputMiBs, maxSizeGiB } = target.storage;
      const wrong = (field: string, value: number | undefined, right: string): void =>
        mistakes.add(`target.storage.${field}`, value, right);
      if (type === 'io2') {
        if (iops === undefined || iops > sizeGiB * 1_000) {
          wrong(
            'iops',
            iops,
            `must be given for io2, at most ${Math.min(256_000, sizeGiB * 1_000)} (1000 for each GiB)`,
          );
        }
        if (throughputMiBs !== undefined) wrong('throughputMiBs', throughputMiBs, 'must not be given: io2 has none');
      } else {
        const small = sizeGiB < 400;
        if (small && (iops !== undefined || throughputMiBs !== undefined)) {
          wrong(
            'sizeGiB',
            sizeGiB,
            'must be 400 or more for iops and throughputMiBs: RDS refuses both below, at deployment',
          );
        } else if (iops !== undefined && (iops < 12_000 || iops > Math.min(64_000, sizeGiB * 500))) {
          wrong('iops', iops, `must be from 12000 to ${Math.min(64_000, sizeGiB * 500)} for gp3 of ${sizeGiB} GiB`);
        } else if (throughputMiBs !== undefined && throughputMiBs > (iops ?? 12_000) / 4) {
          wrong('throughputMiBs', throughputMiBs, `must be at most ${(iops ?? 12_000) / 4}, a quarter of the I/O`);
        }
      }
      if (maxSizeGiB !== undefined && maxSizeGiB < Math.ceil(sizeGiB * 1.1)) {
        wrong('maxSizeGiB', maxSizeGiB, `must be at least ${Math.ceil(sizeGiB * 1.1)}, a tenth above sizeGiB`);
      }
    },
  ],
  [
    ['target.backupWindow', 'target.maintenanceWindow'],
    ({ target }, mistakes) => {
      const backup = minutes(target.backupWindow, DAY);
      const maintenance = minutes(target.maintenanceWindow, 7 * DAY);
      const short = ([from, to]: readonly [number, number]): boolean => to - from < 30;
      if (short(backup)) mistakes.add('target.backupWindow', target.backupWindow, 'must be 30 minutes or longer');
      if (short(maintenance)) {
        mistakes.add('target.maintenanceWindow', target.maintenanceWindow, 'must be 30 minutes or longer');
      }
      const clash = Array.from({ length: 9 }, (_, day) => (day - 1) * DAY).some(
        (day) => backup[0] + day < maintenance[1] && maintenance[0] < backup[1] + day,
      );
      if (clash) {
        mistakes.add(
          'target.backupWindow',
          target.backupWindow,
          `must not overlap target.maintenanceWindow (${target.maintenanceWindow}): RDS refuses it, at deployment`,
        );
      }
    },
  ],
];
