import { readFileSync } from 'node:fs';
import type { Compression } from './dump/compression';
import { UsageError } from './errors';
import type { PlansConfig } from './plans/config';
import type { PoolerConfig, SwitchConfig } from './switch/config';

/** How far a TLS connection checks its server; the meaning is libpq's. */
export type SslMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

/** Where one end of the migration is, and which secret opens it. */
export interface EndConfig {
  /**
   * Secret with `username` and `password`, and, where the address is not given here, `host`, `port` and `dbname`: an
   * ARN of AWS Secrets Manager, or the name of a file in the secrets directory.
   */
  readonly secret: string;
  /** Host name or address. @default the secret's `host` */
  readonly host?: string;
  /** TCP port. @default the secret's `port`, else 5432 */
  readonly port?: number;
  /** Database name. @default the secret's `dbname` */
  readonly database?: string;
  /** @default 'verify-full' */
  readonly sslmode?: SslMode;
  /** Path of the PEM file with the accepted certificate authorities. @default the system's */
  readonly sslRootCert?: string;
}

/** The source, and what the settings say of it. */
export interface SourceConfig extends EndConfig {
  /** Major version that the settings declare, such as 11 or 9.3; assess refuses one that is too old. @default unknown */
  readonly version?: number;
}

/** The target, and who may make our login there. */
export interface TargetConfig extends EndConfig {
  /**
   * Secret of the master user, as `secret` is written; RDS rotates it, so it is used only to make the login of `secret`
   * before it first works, and to retire it at the end. @default the login of `secret` exists already
   */
  readonly masterSecret?: string;
  /**
   * The server's log, where this machine can read it; the watch counts the errors in it. Absolute path.
   * @default RDS is asked, where `aws` describes the target
   */
  readonly logFile?: string;
}

/** Everything the host program is told; one JSON file, written by the install runbook or by the rehearsal. */
export interface AgentConfig {
  /** Name of the migration: letters, digits and dashes; part of file and unit names. */
  readonly migration: string;
  /** Where secrets are read: AWS Secrets Manager of a region, or a directory of JSON files of mode 0600. */
  readonly secrets:
    { readonly kind: 'aws'; readonly region: string } | { readonly kind: 'directory'; readonly path: string };
  readonly source: SourceConfig;
  readonly target: TargetConfig;
  /**
   * A fork or replica of the source, taken after capture, that is dumped in its stead; its own secret. Changes since it
   * was taken stand in the source's queues. @default the source
   */
  readonly dumpSource?: EndConfig;
  /** Schemas that are not migrated, beside PostgreSQL's own and ours; not to be added to once rows are copied. @default [] */
  readonly excludeSchemas?: readonly string[];
  /** Relations that are neither captured, applied nor compared, as quoted names; set for the way back only. @default [] */
  readonly leftOut?: readonly string[];
  /** Secrets with the password of each application login to be made on the target, by role name. @default {} */
  readonly applicationLogins?: Readonly<Record<string, string>>;
  readonly host: HostConfig;
  readonly capture: {
    /**
     * Longest time that a trigger's installation or removal may wait for, and so queue, writers of one table;
     * milliseconds. Vacuum is waited for before that, which queues nobody. @default 500
     */
    readonly lockTimeoutMs: number;
    /** How often the installation or removal on one table is tried before the phase fails. */
    readonly attempts: number;
  };
  readonly dump: {
    /** Parallel pg_dump jobs, each a connection to the source. */
    readonly jobs: number;
    /**
     * How the files are compressed, and at which level: none, gzip (1 to 9), or, with client programs of 16 or newer, lz4 (1
     * to 12) or zstd (1 to 22); such as `zstd:3`. @default 'gzip:5'
     */
    readonly compression: Compression;
  };
  readonly restore: {
    /** Parallel tables and index builds, each a connection to the target; in catch-up each a connection to both ends. */
    readonly jobs: number;
  };
  readonly copy: CopyConfig;
  readonly sync: {
    /** How often Bucardo looks for changes by itself; seconds. The supervisor makes it look twice as often. */
    readonly checkSeconds: number;
    /** Backlog of changed keys under which catch-up hands over to Bucardo; at least 100, since a busy source is never at 0. */
    readonly handoverKeys: number;
    /** Backlog of changes from which catch-up takes over from Bucardo, until it is under `handoverKeys`: twice that at least; 0 for never. */
    readonly takeBackKeys: number;
    /** Longest time of one run of a sync; one that takes longer hangs, and the sync is started anew. Seconds. @default 900 */
    readonly longestRunSeconds?: number;
    /** Syncs that share the relations which no group names, by their write rate; each is a process of its own. */
    readonly syncs: number;
    /**
     * Relations that get a sync of their own, as patterns of their full names (`shop.order_*`); the first group that
     * matches counts. Together with `syncs` at most 8.
     */
    readonly groups: readonly (readonly string[])[];
    /** Perl that Bucardo runs when rows cannot be applied. Without any, a failure stops the sync. */
    readonly handlers: readonly SyncHandler[];
  };
  readonly brake: BrakeConfig;
  readonly verify: {
    /** Rows in one compared chunk. */
    readonly chunkRows: number;
    /** Ranges that are compared at once, of one relation or of several; each a connection to both sides. */
    readonly jobs: number;
    /** Limit of all connections together; rows of the source a second, 0 for none. */
    readonly maxRowsPerSecond: number;
    /** Keys a second that sync compares again after they were applied, so that little is left for the pause; 0 for none. */
    readonly dirtyKeysPerSecond: number;
    /**
     * When each table's key index is held against a sequential pass on both sides, since a corrupt or wrongly sorted index
     * hides rows from the copy and from the comparison: once as long as its files are the same and the server runs on, at
     * each verify, or never.
     * One snapshot for each table, which holds back vacuum: it is read in one go, and `maxRowsPerSecond` is waited for after it.
     */
    readonly sequentialCheck: 'once' | 'always' | 'never';
    /** How long a row that differs may be in flight before it counts as different; seconds. */
    readonly settleSeconds: number;
  };
  readonly plans: PlansConfig;
  readonly ready: ReadyConfig;
  readonly cutover: CutoverConfig;
  readonly watch: WatchConfig;
  /** The poolers, for the switch of that kind. @default none */
  readonly pooler?: PoolerConfig;
  /** What the command line asked of this run of a phase; never in the file. @default nothing */
  readonly run?: RunOptions;
  /** The target as AWS knows it. @default the target is none of AWS, or what only AWS knows is not asked */
  readonly aws?: AwsTarget;
}

/** What one run of a phase may be asked beside its settings. */
export interface RunOptions {
  /** verify hands the keys that differ to the relations' queues of changes, so that they are applied anew. @default false */
  readonly repair?: boolean;
}

/** A file of Perl for Bucardo, its customcode. */
export interface SyncHandler {
  /**
   * When Bucardo runs it: when the target refuses the rows of a relation (`exception`), or when two sources have changed one
   * row (`conflict`), which never happens here, since each sync has one direction; sync says so when it starts.
   */
  readonly when: 'conflict' | 'exception';
  /** Absolute path on the host of the Perl, the body of a subroutine as Bucardo's documentation describes it. */
  readonly file: string;
  /** Names of the syncs (`ibex`, `ibex2` …) that it is for. @default all */
  readonly syncs?: readonly string[];
}

/** When the work spares the source, and when it gives up on behalf of the source. */
export interface BrakeConfig {
  /** Active sessions of others on the source from which rows move at half speed; 0 for never. */
  readonly slowSessions: number;
  /** Active sessions of others on the source from which no row moves; 0 for never. */
  readonly pauseSessions: number;
  /**
   * Wait of somebody else for a lock of ours from which the chunk that holds it is given back, and nothing new begins;
   * a dump, which cannot give way, is ended at ten times that; milliseconds, 0 for never.
   */
  readonly lockWaitMs: number;
  /**
   * Hard limit: size of the captured changes on the source at which all triggers are taken off, and the migration ends;
   * 1,000,000 bytes, 0 for none.
   */
  readonly queueMegabytes: number;
  /**
   * Growth of the captured changes from which rows move at half speed, so that the applications' burst has the source and
   * the appliers the target; at twice that no row moves; 1,000,000 bytes a minute, over the last minute (with thousands of
   * tables, the last few), 0 for never.
   */
  readonly queueGrowthMegabytes: number;
  /** Free disk of the host under which nothing more is written there; 1,000,000 bytes, 0 for never. */
  readonly hostFreeMegabytes: number;
}

/** What AWS is asked about the target. */
export interface AwsTarget {
  readonly region: string;
  /** Identifier of the Aurora cluster. @default the target is no Aurora */
  readonly cluster?: string;
  /** Identifiers of the database instances. */
  readonly instances: readonly string[];
  /** ARNs of the target groups by which the target's address leads to it. @default nobody is asked whether they are healthy */
  readonly address?: {
    readonly writer: string;
    /** @default readers have no address of their own */
    readonly readers?: string;
  };
  /** Beginnings of the names of the CloudWatch alarms that forbid a cutover while they are raised. */
  readonly alarmPrefixes: readonly string[];
}

/** Limits of the gates before the cutover. */
export interface ReadyConfig {
  /** Longest lag with which the cutover may begin; seconds. What is left then is applied before and in the pause. */
  readonly lagSeconds: number;
  /** Changes to apply above which a warning says that the cutover will take longer; keys. */
  readonly backlogKeys: number;
  /** Age from which the last verify, and the last comparison of plans, is warned of; hours. */
  readonly verifyHours: number;
  /**
   * Keys applied and not yet compared again, and rows of tables that no verify has found equal, above which the cutover is
   * refused: so many rows at the most are compared in the pause; keys.
   */
  readonly keysToCompare: number;
  /** Age from which a transaction at the source blocks (with locks on tables) or is warned of; seconds. */
  readonly transactionSeconds: number;
  /** Used part of its range from which a sequence is warned of; per cent. */
  readonly sequencePercent: number;
  /**
   * Whether the runbook migrate takes a snapshot of the target between approval and cutover, and waits for it; and whether
   * a cutover that is started alone is refused without one that is complete.
   */
  readonly snapshot: boolean;
  /** Age from which the last snapshot of ours is warned of; hours. */
  readonly snapshotHours: number;
  /** How many people must have approved the cutover before it begins, at most 10; 0: who may start it decides. */
  readonly approvals: number;
  /** How long an approval counts; hours. It ends, too, with another verify, another capture or other settings of the cutover. */
  readonly approvalHours: number;
  readonly health: HealthConfig;
}

/** How the application's health is asked; before the cutover, and after it. */
export interface HealthConfig {
  /** Statements that must give a row whose first column is not false, at the source; read-only, names with their schema. */
  readonly source: readonly string[];
  /** The same at the target. */
  readonly target: readonly string[];
  /** A program with its arguments that ends with status 0 when the application is well, such as `curl -fsS …`. */
  readonly command: readonly string[];
  /** Longest time of one statement, and of the program; seconds. */
  readonly timeoutSeconds: number;
}

/** How the rows get to the target. */
export interface CopyConfig {
  /**
   * `dump`: pg_dump to the host's volume, then pg_restore (phases dump and restore). `stream`: chunk by chunk from server
   * to server, nothing on disk (phase copy). `onetimecopy`: all in one transaction by Bucardo itself, for small databases
   * (phase copy).
   */
  readonly method: 'dump' | 'stream' | 'onetimecopy';
  /** Size of all tables up to which onetimecopy copies them; 1,000,000 bytes. @default 2000 */
  readonly onetimecopyMegabytes: number;
  /** Chunks that one process copies at once, each a connection to the source and one to the target. */
  readonly jobs: number;
  /** Processes that share the chunks, for machines on which one is busier than its servers. */
  readonly processes: number;
  /**
   * Size of a chunk: so long is a snapshot held on the source, and so much an interruption costs; 1,000,000 bytes. Tables
   * that are not larger are written frozen, which costs the target a little less (1 to 10 % of its processor time, measured).
   */
  readonly chunkMegabytes: number;
  /** Limit of all processes together; bytes a second, 0 for none. */
  readonly maxBytesPerSecond: number;
  /** Indexes that are built at once, beside the copying; each a connection to the target. */
  readonly indexJobs: number;
  /** maintenance_work_mem of each index that is built; MB. */
  readonly maintenanceWorkMemMb: number;
  /** Parallel workers of the server for each index: faster while cores are idle, dearer in all. */
  readonly indexWorkers: number;
}

/** What the cutover may take and how it moves the clients. */
export interface CutoverConfig {
  /** Longest write pause, after which the source takes writes again, but for what switches have of their own; seconds. */
  readonly budgetSeconds: number;
  /** How far each sequence is put ahead of the source's; values. */
  readonly sequenceMargin: number;
  /** Compare every row of both ends as they stood in the pause; runs after writes were opened, on held snapshots. */
  readonly compareAtFreeze: boolean;
  /**
   * `armed`: what applications write on the target after the cutover is captured and fed back, so that a rollback loses
   * none of it; the source login must be allowed to set session_replication_role. `none`: acknowledged that there is no
   * way back once the target takes writes.
   */
  readonly wayBack: 'armed' | 'none';
  /**
   * What may stay behind in a rollback, by the names that the cutover gives when it refuses, such as `"public"."new"` or
   * `large objects`.
   */
  readonly wayBackWithout: readonly string[];
  /**
   * How clients move, in this order; each as long as the budget leaves time. Empty: the operator points them at the
   * target when the report says so.
   */
  readonly switches: readonly SwitchConfig[];
  /** How those move who only read, by an address of their own. */
  readonly readersFirst: ReadersFirstConfig;
}

/** Readers that are moved before the writers, to an end that is a little behind until then. */
export interface ReadersFirstConfig {
  /** How they move; not by `pooler`, which leads everybody at once. Empty: they move as the writers do. */
  readonly switches: readonly SwitchConfig[];
  /** Lag up to which they are moved before the writers, and left there; else they move once writes are open. Seconds. */
  readonly lagSeconds: number;
}

/** The watch over the target once it takes the writes. */
export interface WatchConfig {
  /** How long the target is watched after a cutover; seconds, 0 for not at all. */
  readonly seconds: number;
  /** Time from one look to the next; seconds. */
  readonly everySeconds: number;
  /** Errors a minute in the target's log that are ordinary for the applications; with more a look is bad. */
  readonly errorsPerMinute: number;
  /** Used share of the target's connections from which a look warns; per cent. Without any left it is bad. */
  readonly connectionsPercent: number;
  /**
   * What follows `badLooks` bad looks in a row: `report`, nothing but words; `rollback`, the same rollback that an operator
   * would start, with the same gates and the same budget, while the way back is open.
   */
  readonly onBad: 'report' | 'rollback';
  /** Bad looks in a row that are one too many; looks. */
  readonly badLooks: number;
}

/** The Bucardo host: its directories, its own PostgreSQL, its programs. */
export interface HostConfig {
  /** Operating-system user under which everything runs when started by root. @default the caller */
  readonly user?: string;
  /** Directory for jobs, logs, dumps and reports; on the data volume in AWS. */
  readonly stateDirectory: string;
  /** Directory for files that must not outlive a boot: password file, service file, pid files; tmpfs in AWS. */
  readonly runDirectory: string;
  /** The host's own PostgreSQL, for Ibex's state and Bucardo's database: Unix socket directory or host, no password. */
  readonly postgres: { readonly host: string; readonly port: number; readonly user: string };
  /** Directory with pg_dump, pg_restore and psql, of the newer of both majors. */
  readonly clientTools: string;
  /** The Bucardo program. */
  readonly bucardo: string;
}

/** Where the configuration is looked for when `IBEX_CONFIG` is not set. */
export const DEFAULT_CONFIG_FILE = '/etc/ibex/ibex.json';

/** Reads the configuration file. Throws UsageError when it is absent or no JSON. */
export function readConfig(file: string = process.env['IBEX_CONFIG'] ?? DEFAULT_CONFIG_FILE): AgentConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `configuration ${file} cannot be read (${(error as NodeJS.ErrnoException).code}); run the install runbook, or set IBEX_CONFIG`,
    );
  }
  try {
    return JSON.parse(text) as AgentConfig;
  } catch (error) {
    throw new UsageError(
      `configuration ${file} is no JSON: ${(error as Error).message}; run the install runbook again`,
    );
  }
}
