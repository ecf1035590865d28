import { Aws } from 'aws-cdk-lib';
import { Database } from '../database';
import { ownSeconds } from '../../assets/agent/switch/config';
import type { ResolvedPooler, ResolvedSettings } from '../settings';

/** A database server as pooler.sh tells it to PgBouncer. */
export interface PoolerSide {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** As libpq means it. */
  readonly sslmode: ResolvedSettings['source']['sslmode'];
  /** PEM file with the authorities that the server's certificate is checked by. Absent where it is not checked. */
  readonly authorities?: string;
}

/** What pooler.sh is told: an SSM parameter, and then /etc/ibex-pooler/pooler.json. It names secrets and holds none. */
export interface PoolerConfiguration {
  readonly region: string;
  /** Name of the SSM parameter with the side: `source` or `target`. */
  readonly sideParameter: string;
  /** The database's name for clients, whichever side it is on. */
  readonly database: string;
  readonly sides: { readonly source?: PoolerSide; readonly target: PoolerSide };
  /** ARN of the secret with the password, by login. */
  readonly logins: Readonly<Record<string, string>>;
  /** ARN of the secret of `ibex_admin`, who commands PgBouncer. */
  readonly consoleSecret: string;
  /** ARN of the secret with the certificate that clients are shown. */
  readonly certificate?: string;
  /** Connections to a server for each login. */
  readonly poolSize: number;
  readonly maxClients: number;
  /** After this time a pause that nobody ends is ended; seconds. */
  readonly pauseLimitSeconds: number;
}

export interface PoolerConfigurationProps {
  readonly settings: ResolvedSettings;
  readonly pooler: ResolvedPooler;
  readonly database: Database;
  readonly sideParameter: string;
  readonly consoleSecretArn: string;
}

/** Where install.sh puts the authorities of RDS, and Debian those of the public. */
const AUTHORITIES = {
  rds: '/opt/ibex-pooler/rds-global-bundle.pem',
  public: '/etc/ssl/certs/ca-certificates.crt',
} as const;

/** A pause that a cutover does not end within its budget is ended by the pooler itself, this much later; seconds. */
const BEYOND_BUDGET_SECONDS = 1;

/** The configuration of the pooler, of settings and of what the stack has built. */
export function poolerConfiguration(props: PoolerConfigurationProps): PoolerConfiguration {
  const { settings, pooler, database } = props;
  const { sslmode, certificates, port } = settings.source;
  const { budgetSeconds, switches } = settings.agent.cutover;
  return {
    region: Aws.REGION,
    sideParameter: props.sideParameter,
    database: database.databaseName,
    sides: {
      ...(pooler.source && {
        source: {
          host: pooler.source.host,
          port,
          database: pooler.source.database,
          sslmode,
          ...(sslmode.startsWith('verify-') && { authorities: AUTHORITIES[certificates] }),
        },
      }),
      target: {
        host: database.resource.writerAddress,
        port: Database.PORT,
        database: database.databaseName,
        sslmode: 'verify-full',
        authorities: AUTHORITIES.rds,
      },
    },
    logins: settings.agent.applicationLogins,
    consoleSecret: props.consoleSecretArn,
    ...(pooler.certificateSecretArn !== undefined && { certificate: pooler.certificateSecretArn }),
    poolSize: pooler.connectionsPerLogin,
    maxClients: pooler.maxClients,
    pauseLimitSeconds: budgetSeconds + ownSeconds(switches) + BEYOND_BUDGET_SECONDS,
  };
}
