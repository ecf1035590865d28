import type { Complete } from './complete';
import type { ImageSettings } from './types';

/** Instances of the pooler: one in each of two zones, so that a zone may fail. */
export const POOLER_COUNT = 2;

/**
 * PgBouncer between load balancer and database, on two small instances of its own. Applications that use it move to
 * the target inside the pause, without an error and without a change of address. See docs/pooler.md.
 */
export interface PoolerSettings {
  /**
   * The database that the applications use today. Take it away when the migration is over, and the way to the source
   * is closed. @default none: the pooler knows the target only
   */
  readonly source?: PoolerSourceSettings;
  /** TCP port of the pooler's own listener on the load balancer. @default 6432 */
  readonly port?: number;
  /** Class of both instances; PgBouncer uses one core. @default 'c6i.large' */
  readonly instanceType?: string;
  /** The Debian 13 (amd64) machine image. @default the newest at the first deployment */
  readonly image?: ImageSettings;
  /** Connections of each instance to the database, for each login, 1 to 1000. @default 40 */
  readonly connectionsPerLogin?: number;
  /** Clients of each instance, 10 to 20000; more are refused. @default 2000 */
  readonly maxClients?: number;
  /**
   * ARN of a secret, JSON with `certificate` (the whole chain) and `key`, both PEM: what clients are shown. It names
   * `endpoint.privateName` where there is one.
   * @default each instance makes its own at boot, which clients can use (`sslmode=require`) but not verify
   */
  readonly certificateSecretArn?: string;
}

/** How the pooler reaches the source; port and TLS are those of `source` of the migration. */
export interface PoolerSourceSettings {
  /** Host name or address. */
  readonly host: string;
  /** Name of the database there; clients ask for the target's name, before and after. */
  readonly database: string;
}

/** The pooler with every default. */
export type ResolvedPooler = Complete<PoolerSettings, 'source' | 'certificateSecretArn'>;
