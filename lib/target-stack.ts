import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Database } from './database';
import { Endpoint } from './endpoint';
import { Network } from './network';
import type { ResolvedSettings } from './settings';

export interface TargetStackProps extends StackProps {
  readonly settings: ResolvedSettings;
}

/** What stays after the migration: network, database, endpoint. It knows nothing of the migration stack. */
export class TargetStack extends Stack {
  readonly network: Network;
  readonly database: Database;
  readonly endpoint: Endpoint;

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
  }
}
