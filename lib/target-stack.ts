import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Alarms } from './alarms';
import { ApplicationSecrets } from './application-secrets';
import { Database } from './database';
import { databaseAlarms } from './database-alarms';
import { Endpoint } from './endpoint';
import { endpointAlarms } from './endpoint-alarms';
import { Network } from './network';
import { Notices } from './notices';
import { Pooler } from './pooler';
import { poolerAlarms } from './pooler/alarms';
import type { ResolvedSettings } from './settings';

export interface TargetStackProps extends StackProps {
  readonly settings: ResolvedSettings;
}

/** What stays after the migration: network, database, endpoint, their alarms. It knows nothing of the migration stack. */
export class TargetStack extends Stack {
  readonly network: Network;
  readonly database: Database;
  readonly endpoint: Endpoint;
  /** Absent unless the settings ask for it. */
  readonly pooler?: Pooler;

  constructor(scope: Construct, id: string, { settings, ...props }: TargetStackProps) {
    super(scope, id, { ...props, terminationProtection: settings.target.deletionProtection });
    this.network = new Network(this, 'Network', settings.network);
    const { vpc, databaseSubnets } = this.network;
    this.database = new Database(this, 'Database', { vpc, subnets: databaseSubnets, settings: settings.target });
    this.endpoint = new Endpoint(this, 'Endpoint', {
      vpc,
      database: this.database,
      settings: settings.endpoint,
      deletionProtection: settings.target.deletionProtection,
    });
    const { pooler } = settings.endpoint;
    if (pooler) {
      const { network, database, endpoint } = this;
      this.pooler = new Pooler(this, 'Pooler', { network, database, endpoint, pooler, settings });
    }
    new ApplicationSecrets(this, 'ApplicationSecrets', {
      migration: settings.name,
      logins: settings.agent.applicationLogins,
      database: this.database,
      at: this.pooler ?? this.endpoint,
    });
    const { emails, thresholds } = settings.notifications;
    const { topic } = new Notices(this, 'Notices', { name: this.stackName, emails });
    const alarms = new Alarms(this, 'Alarms', { topic, thresholds });
    databaseAlarms(alarms, this.database, settings.target);
    endpointAlarms(alarms, this.endpoint);
    if (this.pooler) poolerAlarms(alarms, this.pooler, this.endpoint);
  }
}
