import { arn, byDefault, flag, integer, object, oneOf, optional, text, type Rule } from './check';
import { isAuroraClass, isRdsClass } from './database-classes';
import type { ResolvedAurora, ResolvedRds, ResolvedTarget } from './types';

const day = '(mon|tue|wed|thu|fri|sat|sun)';
const time = '([01]\\d|2[0-3]):[0-5]\\d';

const step =
  (unit: string, min: number, max: number): Rule<number> =>
  (value, path, mistakes) => {
    const right = typeof value === 'number' && value >= min && value <= max && Number.isInteger(value * 2);
    if (!right) mistakes.add(path, value, `must be from ${min} to ${max} in steps of a half (${unit})`);
    return value as number;
  };

const engine: Rule<ResolvedTarget['engine']> = oneOf('aurora-postgresql', 'postgres');
const version = byDefault(
  '17.9',
  text('must be "major.minor" with a major from 15 to 18, such as "17.9"', /^1[5-8]\.\d{1,2}$/),
);

const common = {
  database: byDefault(
    'app',
    text('must be a letter and up to 62 letters, digits and underscores', /^[a-zA-Z]\w{0,62}$/),
  ),
  deletionProtection: byDefault(true, flag),
  backupDays: byDefault(7, integer('days', 1, 35)),
  backupWindow: byDefault('01:00-02:00', text('must look like "01:00-02:00" (UTC)', new RegExp(`^${time}-${time}$`))),
  backupCopy: optional(
    object<NonNullable<ResolvedTarget['backupCopy']>>({
      vaultArn: arn(
        'backup:[a-z0-9-]+:\\d{12}:backup-vault',
        'arn:aws:backup:eu-west-1:123456789012:backup-vault:ibex',
      ),
      days: byDefault(35, integer('days', 1, 3_650)),
    }),
  ),
  maintenanceWindow: byDefault(
    'sun:03:00-sun:04:00',
    text('must look like "sun:03:00-sun:04:00" (UTC)', new RegExp(`^${day}:${time}-${day}:${time}$`)),
  ),
  encryptionKeyArn: optional(
    text(
      'must be the ARN of a key, such as "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"',
      /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/,
    ),
  ),
  enhancedMonitoringSeconds: byDefault(15, oneOf<ResolvedTarget['enhancedMonitoringSeconds']>(0, 1, 5, 10, 15, 30, 60)),
  insights: byDefault('standard', oneOf('standard', 'advanced')),
} as const;

const aurora = object<ResolvedAurora>({
  engine: byDefault('aurora-postgresql', engine as Rule<'aurora-postgresql'>),
  version,
  instanceClass: byDefault(
    'db.r7g.2xlarge',
    text('must be a class that Aurora PostgreSQL offers, such as "db.r7g.2xlarge"; it has no m classes', isAuroraClass),
  ),
  serverless: optional(
    object<NonNullable<ResolvedAurora['serverless']>>({
      minCapacity: step('ACU', 0.5, 256),
      maxCapacity: step('ACU; below 8 parallel index builds run out of memory', 8, 256),
    }),
  ),
  readers: byDefault(0, integer('readers', 0, 15)),
  storage: byDefault('io-optimized', oneOf('io-optimized', 'standard')),
  ...common,
});

const rds = object<ResolvedRds>({
  engine: engine as Rule<'postgres'>,
  version,
  instanceClass: byDefault(
    'db.r7g.2xlarge',
    text('must be a class that RDS for PostgreSQL offers, such as "db.m7g.2xlarge"', isRdsClass),
  ),
  multiAz: byDefault(false, flag),
  readers: byDefault(0, integer('read replicas', 0, 15)),
  storage: byDefault(
    {},
    object<ResolvedRds['storage']>({
      type: byDefault('gp3', oneOf('gp3', 'io2')),
      sizeGiB: byDefault(500, integer('GiB', 100, 65_536)),
      iops: optional(integer('I/O operations a second', 1_000, 256_000)),
      throughputMiBs: optional(integer('MiB a second', 500, 4_000)),
      maxSizeGiB: optional(integer('GiB', 100, 65_536)),
    }),
  ),
  ...common,
});

/** The target's rules, by its engine. */
export const targetRule: Rule<ResolvedTarget> = (value, path, mistakes) =>
  typeof value === 'object' && value !== null && 'engine' in value && value.engine === 'postgres'
    ? rds(value, path, mistakes)
    : aurora(value, path, mistakes);
