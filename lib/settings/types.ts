import type { AgentConfig, SslMode } from '../../assets/agent/config';
import type { Complete } from './complete';
import type { NetworkSettings } from './network-types';
import type { PoolerSettings, ResolvedPooler } from './pooler-types';
import type { ResolvedTarget, TargetSettings } from './target-types';

export type * from './network-types';
export type * from './pooler-types';
export type * from './target-types';

/** Everything that is decided about one migration. Fields without `@default` must be given. */
export interface MigrationSettings {
  /**
   * Name of the migration: 1 to 30 lower-case letters, digits and dashes. Begins the names of the stacks
   * (`<name>-target`, `<name>-migration`) and of the runbooks; a change makes a second environment.
   */
  readonly name: string;
  readonly source: SourceSettings;
  readonly target?: TargetSettings;
  readonly network: NetworkSettings;
  readonly endpoint: EndpointSettings;
  readonly host?: HostSettings;
  readonly agent?: AgentSettings;
  readonly notifications?: NotificationSettings;
  readonly artifacts?: ArtifactSettings;
  /** Tags of every resource that can have them; at most 40 (AWS allows 50, CDK adds its own). @default {} */
  readonly tags?: Readonly<Record<string, string>>;
}

/** The database that is left. */
export interface SourceSettings {
  /**
   * Major version of PostgreSQL, 10 to 17; newer ones Bucardo does not know. From 9.1 to 9.6 (written so, `9.3`) only
   * with `assessOnly`: the host program cannot migrate them yet.
   */
  readonly version: number;
  /**
   * Says in words that only the environment is wanted: it is built in full, and `assess` refuses the source by its
   * version. Must be true for a version below 10, false for all others. @default false
   */
  readonly assessOnly?: boolean;
  /**
   * Size of the database with its indexes, GiB, 1 to 65536, as `pg_database_size` tells it: the host and its volume are
   * chosen by it. @default unknown: an m6i.4xlarge with 500 GiB
   */
  readonly sizeGiB?: number;
  /** How the host gets there: over the internet by NAT, or inside private networks (VPN, peering, transit gateway). */
  readonly reach: 'public' | 'private';
  /**
   * Networks that host and poolers may open connections to on the source's port, 1 to 20. `anywhere` says in words that
   * every address is meant, for hosted databases, which move; only with `reach: 'public'`.
   */
  readonly cidrs: 'anywhere' | readonly string[];
  /** TCP port. @default 5432 */
  readonly port?: number;
  /** How far TLS checks the server; Heroku's certificates are self-signed, so `require`. @default 'verify-full' */
  readonly sslmode?: SslMode;
  /** Which authorities `verify-ca` and `verify-full` accept: those of Node.js, or those of RDS. @default 'public' */
  readonly certificates?: 'public' | 'rds';
  /**
   * ARN of an existing secret, JSON with `username`, `password`, `host`, `port`, `dbname`.
   * @default the migration stack makes an empty one, to be filled before the first runbook
   */
  readonly secretArn?: string;
  /**
   * A fork or replica of the source that is dumped in its stead, to spare it. It is taken when the phase capture has
   * succeeded, and its login put into its secret then; the phase dump says so until it finds one that can serve.
   * @default the source is dumped
   */
  readonly fork?: ForkSettings;
}

/** How the host gets to the fork or replica that is dumped. */
export interface ForkSettings {
  /** Networks that the host may open connections to on the fork's port, or `anywhere`. @default those of `source.cidrs` */
  readonly cidrs?: 'anywhere' | readonly string[];
  /** TCP port. @default `source.port` */
  readonly port?: number;
  /** How far TLS checks the server. @default `source.sslmode` */
  readonly sslmode?: SslMode;
  /** Which authorities `verify-ca` and `verify-full` accept. @default `source.certificates` */
  readonly certificates?: 'public' | 'rds';
  /**
   * ARN of an existing secret of its own, JSON with `username`, `password`, `host`, `port`, `dbname`.
   * @default the migration stack makes an empty one, to be filled when the fork is there
   */
  readonly secretArn?: string;
}

/** The source behind the load balancer until the cutover, which then leads the same address to the target. */
export interface EndpointSourceSettings {
  /** The source's addresses, private IPv4 (RFC 1918 or 6598) outside the VPC that its route tables reach; 1 to 10. */
  readonly addresses: readonly string[];
  /** The source's port. @default 5432 */
  readonly port?: number;
  /**
   * TCP port of a further listener, on which the target stands until the cutover and the source after it: NLB checks only
   * targets that a listener uses, and the cutover needs both healthy.
   */
  readonly otherPort: number;
}

/** The network load balancer in front of the target: the applications' address. */
export interface EndpointSettings {
  /** Whether the internet can reach it at all; chosen by nobody but you. */
  readonly scheme: 'internal' | 'internet-facing';
  /** Networks that may connect, 1 to 50 (a security group holds 60 rules). */
  readonly allowedCidrs: readonly string[];
  /** Says in words that `0.0.0.0/0` in `allowedCidrs` is meant. @default false */
  readonly allowEveryAddress?: boolean;
  /** TCP port. @default 5432 */
  readonly port?: number;
  /** After this long without a byte a connection is cut; seconds, 60 to 6000 (a limit of NLB). @default 6000 */
  readonly idleTimeoutSeconds?: number;
  /** TCP port of a second listener, which leads to the readers; needs `target.readers`. @default no such listener */
  readonly readerPort?: number;
  /** A name of your own for the load balancer, in a private hosted zone that exists. @default only the AWS name */
  readonly privateName?: PrivateNameSettings;
  /** PgBouncer behind a listener of its own. @default none */
  readonly pooler?: PoolerSettings;
  /** Lets the switch `nlb` move clients that use this address already. @default the address leads to the target only */
  readonly source?: EndpointSourceSettings;
}

/** A name in a private hosted zone of Route 53 that the applications' networks resolve. */
export interface PrivateNameSettings {
  /** Id of the hosted zone, such as `Z0123456789ABCDEFGHIJ`. */
  readonly hostedZoneId: string;
  /** Name of the hosted zone, such as `internal.example.org`. */
  readonly zoneName: string;
  /** First part of the name, such as `db`. */
  readonly recordName: string;
}

/** The Bucardo host. */
export interface HostSettings {
  /** An m6i size, `large` to `32xlarge`. @default by `source.sizeGiB`, see lib/settings/host-size.ts; else 'm6i.4xlarge' */
  readonly instanceType?: string;
  readonly volume?: VolumeSettings;
  /** The Debian 12 (amd64) machine image. @default the newest at the first deployment */
  readonly image?: ImageSettings;
  /** Major of the host's own PostgreSQL: 11 from the PostgreSQL project's archive, 15 from Debian. @default 11 */
  readonly postgresMajor?: 11 | 15;
  /** Node.js for the host program: a tar file for Linux x64 and its SHA-256. @default 22.22.3 of nodejs.org */
  readonly node?: { readonly url: string; readonly sha256: string };
  /** Amazon's agent for Systems Manager, of host and poolers. */
  readonly ssmAgent?: SsmAgentSettings;
  /** Nobody terminates the host, or deletes its stack, in mid-migration. Set false to remove it. @default true */
  readonly terminationProtection?: boolean;
}

/** The package that is taken from Amazon's bucket of the Region. */
export interface SsmAgentSettings {
  /** 3.3.2746.0 or newer: older ones paste parameters into scripts. @default '3.3.2746.0' */
  readonly version?: string;
  /**
   * SHA-256 of `amazon-ssm-agent.deb` (Debian, amd64) of that version, in hexadecimal digits: verify a package by Amazon's
   * signature once, and put its sum here. @default none: version and TLS alone vouch for the package
   */
  readonly sha256?: string;
}

/** The host's encrypted gp3 data volume, `/database`. Limits are gp3's and the instance's sustained ones. */
export interface VolumeSettings {
  /**
   * GiB, 10 to 65536: the dump, Bucardo's database and logs. It may grow later, never shrink.
   * @default two thirds of `source.sizeGiB` and 50; else 500
   */
  readonly sizeGiB?: number;
  /** I/O operations a second, 3000 to 80000, at most 500 for each GiB. @default 6000, or what the instance sustains */
  readonly iops?: number;
  /** MiB a second, 125 to 2000, at most a quarter of `iops`. @default 500, or what the instance sustains */
  readonly throughputMiBs?: number;
}

/**
 * Where the image comes from: a public SSM parameter that is read once, when the stack is created (so that a newly
 * published image never replaces the host in mid-migration; a later change of the parameter fails the deployment, so
 * name the ids then), or image ids by Region.
 */
export type ImageSettings = { readonly ssmParameter: string } | { readonly amiIds: Readonly<Record<string, string>> };

/**
 * What the host program does; the fields and their meaning are AgentConfig's.
 * @default each of its parts: see DEFAULT_AGENT in lib/settings/defaults.ts
 */
export type AgentSettings = {
  readonly [Part in TunedParts]?: Partial<AgentConfig[Part]>;
} & Pick<AgentConfig, 'excludeSchemas' | 'applicationLogins'>;

/** The parts of AgentConfig that settings tune. */
export type TunedParts =
  'capture' | 'dump' | 'restore' | 'copy' | 'sync' | 'brake' | 'verify' | 'plans' | 'ready' | 'cutover' | 'watch';

/** Who hears of alarms, failures and approvals, and who may approve. */
export interface NotificationSettings {
  /** E-mail addresses; each must confirm its subscription. @default [] */
  readonly emails?: readonly string[];
  /** ARNs of IAM users and roles that may approve cutover and cleanup, at most 10. @default asked for at the start */
  readonly approvers?: readonly string[];
  /** Other thresholds, by the name of the alarm in docs/alarms.md, in its unit. @default {}, those of the article */
  readonly thresholds?: Readonly<Record<string, number>>;
}

/** How long what the host puts into the migration's bucket is kept; days, 1 to 3650. */
export interface ArtifactSettings {
  /** Evidence reports and logs, which hold no row. @default 365 */
  readonly reportDays?: number;
  /** Dumps and samples of rows, which are the application's data. @default 14 */
  readonly dataDays?: number;
}

/** How the host gets to the fork, with what it has from the source filled in. */
export type ResolvedFork = Complete<ForkSettings, 'secretArn'>;

/** Settings with every default filled in, and checked. */
export interface ResolvedSettings {
  readonly name: string;
  readonly source: Complete<Omit<SourceSettings, 'fork'>, 'secretArn' | 'sizeGiB'> & { readonly fork?: ResolvedFork };
  readonly target: ResolvedTarget;
  readonly network: Complete<NetworkSettings, 'availabilityZones' | 'existing'>;
  readonly endpoint: Complete<Omit<EndpointSettings, 'pooler' | 'source'>, 'readerPort' | 'privateName'> & {
    readonly pooler?: ResolvedPooler;
    readonly source?: Required<EndpointSourceSettings>;
  };
  readonly host: Required<HostSettings> & {
    readonly volume: Required<VolumeSettings>;
    readonly ssmAgent: Complete<SsmAgentSettings, 'sha256'>;
  };
  readonly agent: Required<Pick<AgentConfig, TunedParts | 'excludeSchemas' | 'applicationLogins'>>;
  readonly notifications: Required<NotificationSettings>;
  readonly artifacts: Required<ArtifactSettings>;
  readonly tags: Readonly<Record<string, string>>;
}
