import type { AgentConfig, SslMode } from '../../assets/agent/config';

/** Everything that is decided about one migration. Fields without `@default` must be given. */
export interface MigrationSettings {
  /**
   * Name of the migration: 1 to 30 lower-case letters, digits and dashes. Begins the names of the stacks
   * (`<name>-target`, `<name>-migration`) and of the runbooks; a change makes a second environment.
   */
  readonly name: string;
  readonly source: SourceSettings;
  readonly target?: TargetSettings;
  readonly network?: NetworkSettings;
  readonly endpoint: EndpointSettings;
  readonly host?: HostSettings;
  readonly agent?: AgentSettings;
  readonly notifications?: NotificationSettings;
  /** Tags of every resource that can have them; at most 40 (AWS allows 50, CDK adds its own). @default {} */
  readonly tags?: Readonly<Record<string, string>>;
}

/** The database that is left. */
export interface SourceSettings {
  /** Major version of PostgreSQL, 10 to 17: older ones lack what capture needs, newer ones Bucardo does not know. */
  readonly version: number;
  /** How the host gets there: over the internet by NAT, or inside private networks (VPN, peering, transit gateway). */
  readonly reach: 'public' | 'private';
  /**
   * Networks that the host may open connections to, on the source's port; required where `reach` is `private`.
   * @default [] with `reach: 'public'`: every address, since hosted databases move
   */
  readonly cidrs?: readonly string[];
  /** TCP port. @default 5432 */
  readonly port?: number;
  /** How far TLS checks the server; Heroku's certificates are self-signed, so `require`. @default 'verify-full' */
  readonly sslmode?: SslMode;
  /**
   * ARN of an existing secret, JSON with `username`, `password`, `host`, `port`, `dbname`.
   * @default the migration stack makes an empty one, to be filled before the first runbook
   */
  readonly secretArn?: string;
}

/** The database that is built. */
export interface TargetSettings {
  /** @default 'aurora-postgresql' */
  readonly engine?: 'aurora-postgresql';
  /** Version as RDS writes it, `major.minor`; the major 15 to 18 and not below the source's. @default '17.9' */
  readonly version?: string;
  /** Class that Aurora PostgreSQL offers (the r and x families, t for trials). @default 'db.r7g.2xlarge' */
  readonly instanceClass?: string;
  /** Readers beside the writer, 0 to 15; they can wait until after the load. @default 0 */
  readonly readers?: number;
  /** `io-optimized` charges no I/O, cheaper while loading; back to `standard` at any time. @default 'io-optimized' */
  readonly storage?: 'io-optimized' | 'standard';
  /** Name of the database. @default 'app' */
  readonly database?: string;
  /** Nobody deletes cluster, load balancer or stack by mistake. @default true */
  readonly deletionProtection?: boolean;
  /** How long automatic backups are kept; days, 1 to 35 (a limit of RDS). @default 7 */
  readonly backupDays?: number;
  /** When AWS may do maintenance; UTC, at least 30 minutes, away from the cutover. @default 'sun:03:00-sun:04:00' */
  readonly maintenanceWindow?: string;
}

/** The VPC. */
export interface NetworkSettings {
  /** Its addresses, a /16 to /24 that does not overlap a private source's. @default '10.64.0.0/16' */
  readonly cidr?: string;
  /** Names of two or three availability zones of the Region. @default its first two */
  readonly availabilityZones?: readonly string[];
  /** Gateways for outgoing traffic, 1 to one per zone; the host uses the first. @default 1 */
  readonly natGateways?: number;
  /** How long flow logs are kept; days that CloudWatch Logs offers. @default 30 */
  readonly flowLogDays?: number;
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
}

/** The Bucardo host. */
export interface HostSettings {
  /** An m6i size, `large` to `32xlarge`. @default 'm6i.4xlarge' */
  readonly instanceType?: string;
  readonly volume?: VolumeSettings;
  /** The Debian 12 (amd64) machine image. @default the newest at the first deployment */
  readonly image?: ImageSettings;
  /** Major of the host's own PostgreSQL: 11 from the PostgreSQL project's archive, 15 from Debian. @default 11 */
  readonly postgresMajor?: 11 | 15;
  /** Node.js for the host program: a tar file for Linux x64 and its SHA-256. @default 22.22.3 of nodejs.org */
  readonly node?: { readonly url: string; readonly sha256: string };
  /** Amazon SSM Agent, 3.3.2746.0 or newer: older ones paste parameters into scripts. @default '3.3.2746.0' */
  readonly ssmAgentVersion?: string;
  /** Nobody terminates the host, or deletes its stack, in mid-migration. Set false to remove it. @default true */
  readonly terminationProtection?: boolean;
}

/** The host's encrypted gp3 data volume, `/database`. Limits are gp3's and the instance's sustained ones. */
export interface VolumeSettings {
  /** GiB, 10 to 65536: the dump, Bucardo's database and logs. It may grow later, never shrink. @default 500 */
  readonly sizeGiB?: number;
  /** I/O operations a second, 3000 to 80000, at most 500 for each GiB. @default 6000 */
  readonly iops?: number;
  /** MiB a second, 125 to 2000, at most a quarter of `iops`. @default 500 */
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
export type TunedParts = 'capture' | 'dump' | 'restore' | 'sync' | 'verify' | 'cutover';

/** Who hears of alarms, failures and approvals, and who may approve. */
export interface NotificationSettings {
  /** E-mail addresses; each must confirm its subscription. @default [] */
  readonly emails?: readonly string[];
  /** ARNs of IAM users and roles that may approve cutover and cleanup, at most 10. @default asked for at the start */
  readonly approvers?: readonly string[];
}

/** Settings with every default filled in, and checked. */
export interface ResolvedSettings {
  readonly name: string;
  readonly source: Required<Omit<SourceSettings, 'secretArn'>> & Pick<SourceSettings, 'secretArn'>;
  readonly target: Required<TargetSettings>;
  readonly network: Required<Omit<NetworkSettings, 'availabilityZones'>> & Pick<NetworkSettings, 'availabilityZones'>;
  readonly endpoint: Required<EndpointSettings>;
  readonly host: Required<HostSettings> & { readonly volume: Required<VolumeSettings> };
  readonly agent: Required<Pick<AgentConfig, TunedParts | 'excludeSchemas' | 'applicationLogins'>>;
  readonly notifications: Required<NotificationSettings>;
  readonly tags: Readonly<Record<string, string>>;
}
