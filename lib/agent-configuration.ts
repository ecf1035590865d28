import { Aws } from 'aws-cdk-lib';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { AgentConfig, EndConfig } from '../assets/agent/config';
import { Database } from './database';
import type { Endpoint } from './endpoint';
import type { Pooler } from './pooler';
import { CONSOLE_PORT } from './pooler/openings';
import type { ResolvedFork, ResolvedSettings } from './settings';

export interface AgentConfigurationProps {
  readonly settings: ResolvedSettings;
  readonly database: Database;
  readonly endpoint: Endpoint;
  readonly sourceSecret: ISecret;
  /** Login of the fork that is dumped, where the settings have one. */
  readonly forkSecret: ISecret | undefined;
  /** Login that the program makes on the target, and works with. */
  readonly migratorSecret: ISecret;
  /** The poolers, where there are any. */
  readonly pooler: Pooler | undefined;
  /** Beginnings of the names of our alarms: those of either stack. */
  readonly alarmPrefixes: readonly string[];
}

/** Where install.sh puts the authorities of RDS. */
const RDS_AUTHORITIES = '/opt/ibex/rds-global-bundle.pem';

const reachOf = (
  { port, sslmode, certificates }: Pick<ResolvedFork, 'port' | 'sslmode' | 'certificates'>,
  secret: ISecret,
): EndConfig => ({
  secret: secret.secretArn,
  port,
  sslmode,
  ...(certificates === 'rds' && { sslRootCert: RDS_AUTHORITIES }),
});

/** What the program on the host is told: settings, and where bootstrap.sh and install.sh put things. */
export function agentConfiguration({
  settings,
  database,
  endpoint,
  sourceSecret,
  forkSecret,
  migratorSecret,
  pooler,
  alarmPrefixes,
}: AgentConfigurationProps): AgentConfig {
  return {
    ...settings.agent,
    migration: settings.name,
    secrets: { kind: 'aws', region: Aws.REGION },
    source: {
      ...reachOf(settings.source, sourceSecret),
      version: settings.source.version,
    },
    ...(settings.source.fork && forkSecret && { dumpSource: reachOf(settings.source.fork, forkSecret) }),
    target: {
      secret: migratorSecret.secretArn,
      masterSecret: database.resource.secret.secretArn,
      host: database.resource.writerAddress,
      port: Database.PORT,
      database: database.databaseName,
      sslmode: 'verify-full',
      sslRootCert: RDS_AUTHORITIES,
    },
    ...(pooler && {
      pooler: {
        consoles: pooler.addresses.map((host) => ({ host, port: CONSOLE_PORT })),
        secret: pooler.consoleSecret.secretArn,
        database: database.databaseName,
        side: { parameter: pooler.side.parameterName },
      },
    }),
    aws: {
      region: Aws.REGION,
      ...(database.resource.clusterId !== undefined && { cluster: database.resource.clusterId }),
      instances: database.resource.instanceIds,
      address: {
        writer: endpoint.targetGroup.targetGroupArn,
        ...(endpoint.readerTargetGroup && { readers: endpoint.readerTargetGroup.targetGroupArn }),
      },
      alarmPrefixes,
    },
    host: {
      // One user for PostgreSQL, Bucardo and the program: a password file of mode 0600 serves no second one.
      user: 'postgres',
      stateDirectory: '/database/ibex',
      runDirectory: '/run/ibex',
      postgres: { host: '/var/run/postgresql', port: 5432, user: 'postgres' },
      clientTools: `/usr/lib/postgresql/${Number.parseInt(settings.target.version, 10)}/bin`,
      bucardo: '/usr/bin/bucardo',
    },
  };
}
