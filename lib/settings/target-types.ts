import type { Complete } from './complete';

/** The database that is built. */
export type TargetSettings = AuroraSettings | RdsSettings;

/** What both engines have. */
export interface CommonTargetSettings {
  /** Version as RDS writes it, `major.minor`; the major 15 to 18 and not below the source's. @default '17.9' */
  readonly version?: string;
  /** Name of the database. @default 'app' */
  readonly database?: string;
  /** Nobody deletes database, load balancer or stack by mistake. @default true */
  readonly deletionProtection?: boolean;
  /** How long automatic backups are kept; days, 1 to 35 (a limit of RDS). @default 7 */
  readonly backupDays?: number;
  /** When they begin; UTC, at least 30 minutes, not within the maintenance window. @default '01:00-02:00' */
  readonly backupWindow?: string;
  /** A daily copy of the database in another Region. @default none */
  readonly backupCopy?: BackupCopySettings;
  /** When AWS may do maintenance; UTC, at least 30 minutes, away from the cutover. @default 'sun:03:00-sun:04:00' */
  readonly maintenanceWindow?: string;
  /** ARN of a key of yours for data, backups and Database Insights. @default the target stack makes one, and keeps it */
  readonly encryptionKeyArn?: string;
  /** How often Enhanced Monitoring looks at the operating system; seconds, 0 is off. @default 15 */
  readonly enhancedMonitoringSeconds?: 0 | 1 | 5 | 10 | 15 | 30 | 60;
  /** Mode of CloudWatch Database Insights; `advanced` costs, and keeps 15 months. @default 'standard' */
  readonly insights?: 'standard' | 'advanced';
}

/** Aurora PostgreSQL: storage that grows by itself, readers that share it. */
export interface AuroraSettings extends CommonTargetSettings {
  /** @default 'aurora-postgresql' */
  readonly engine?: 'aurora-postgresql';
  /**
   * Class that Aurora PostgreSQL offers (the r and x families, t for trials), or `db.serverless` together with
   * `serverless`. @default 'db.r7g.2xlarge'
   */
  readonly instanceClass?: string;
  /** Capacity of each `db.serverless` instance. @default none, with any other class */
  readonly serverless?: ServerlessSettings;
  /** Readers beside the writer, 0 to 15; they can wait until after the load. @default 0 */
  readonly readers?: number;
  /** `io-optimized` charges no I/O, cheaper while loading; back to `standard` at any time. @default 'io-optimized' */
  readonly storage?: 'io-optimized' | 'standard';
}

/** Aurora Serverless v2 in capacity units (ACU) of about 2 GiB each, in steps of a half. */
export interface ServerlessSettings {
  /** 0.5 to 256; a load that begins at a small one waits for it to grow. */
  readonly minCapacity: number;
  /** 8 to 256: below, parallel index builds run out of memory. */
  readonly maxCapacity: number;
}

/** RDS for PostgreSQL: one server with a volume. */
export interface RdsSettings extends CommonTargetSettings {
  readonly engine: 'postgres';
  /** Class that RDS for PostgreSQL offers: m, r, x, t families. @default 'db.r7g.2xlarge' */
  readonly instanceClass?: string;
  /**
   * A standby in a second zone. It doubles the price and slows every commit, so it can wait for the end of the load, see
   * docs/profiles.md. @default false
   */
  readonly multiAz?: boolean;
  /** Read replicas, 0 to 15. @default 0 */
  readonly readers?: number;
  /** @default gp3 of 500 GiB with what gp3 gives by itself */
  readonly storage?: RdsStorageSettings;
}

/** The volume of RDS. It grows online, once in six hours, and never shrinks. */
export interface RdsStorageSettings {
  /** @default 'gp3' */
  readonly type?: 'gp3' | 'io2';
  /** GiB, 100 to 65536. @default 500 */
  readonly sizeGiB?: number;
  /**
   * I/O operations a second: for io2 required, 1000 to 256000, at most 1000 for each GiB; for gp3 from 400 GiB on,
   * 12000 to 64000, at most 500 for each GiB. @default gp3's own: 3000, from 400 GiB on 12000
   */
  readonly iops?: number;
  /** MiB a second, gp3 from 400 GiB on only, 500 to 4000 and a quarter of the I/O. @default gp3's own: 125, then 500 */
  readonly throughputMiBs?: number;
  /** GiB up to which RDS grows the volume by itself, at least a tenth above its size. @default it does not */
  readonly maxSizeGiB?: number;
}

/** AWS Backup copies a daily snapshot into a vault of another Region. A stack makes nothing in another Region. */
export interface BackupCopySettings {
  /** ARN of a vault in another Region, made there beforehand with a key of that Region. */
  readonly vaultArn: string;
  /** How long the copies are kept; days, 1 to 3650. @default 35 */
  readonly days?: number;
}

/** The target with every default. */
export type ResolvedTarget = ResolvedAurora | ResolvedRds;

type OptionalForBoth = 'backupCopy' | 'encryptionKeyArn';
export type ResolvedAurora = Complete<AuroraSettings, OptionalForBoth | 'serverless'> & ResolvedParts;
export type ResolvedRds = Omit<Complete<RdsSettings, OptionalForBoth>, 'storage'> &
  ResolvedParts & { readonly storage: Complete<RdsStorageSettings, 'iops' | 'throughputMiBs' | 'maxSizeGiB'> };

interface ResolvedParts {
  readonly backupCopy?: Required<BackupCopySettings>;
}
