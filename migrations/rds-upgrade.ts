import type { MigrationSettings } from '../lib/settings';

/**
 * An RDS for PostgreSQL 13 into Aurora PostgreSQL 17 in the VPC where it lives: ids of VPC and subnets are given, and
 * nothing is looked up. Neither its routes nor its NAT gateways are touched. Applications go through a pooler, which
 * leads to the old database until the cutover and to the new one from then on.
 */
export const settings: MigrationSettings = {
  name: 'rds-upgrade',

  source: {
    version: 13,
    reach: 'private',
    // The subnets of the old database.
    cidrs: ['10.20.40.0/24', '10.20.41.0/24'],
    // RDS's certificates are checked against the bundle that the host holds.
    sslmode: 'verify-full',
    certificates: 'rds',
    secretArn: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:billing/source-AbCdEf',
  },

  target: {
    engine: 'aurora-postgresql',
    version: '17.9',
    instanceClass: 'db.serverless',
    // 8 to 64 ACU, about 16 to 128 GiB: it need not grow while the load begins.
    serverless: { minCapacity: 8, maxCapacity: 64 },
    // One reader, for the reports.
    readers: 1,
    database: 'billing',
    insights: 'advanced',
  },

  network: {
    // Package sources have no addresses that stay; the VPC's own firewall may say less.
    httpEgress: 'anywhere',
    cidr: '10.20.0.0/16',
    availabilityZones: ['eu-central-1a', 'eu-central-1b'],
    existing: {
      vpcId: 'vpc-0a1b2c3d4e5f60718',
      hostSubnetIds: ['subnet-0a1b2c3d4e5f60701', 'subnet-0a1b2c3d4e5f60702'],
      databaseSubnetIds: ['subnet-0a1b2c3d4e5f60703', 'subnet-0a1b2c3d4e5f60704'],
      natAddresses: ['203.0.113.20'],
    },
  },

  endpoint: {
    scheme: 'internal',
    allowedCidrs: ['10.20.0.0/16'],
    // Reports read here.
    readerPort: 5433,
    // Billing connects here before and after, and waits in the pause instead of seeing an error.
    pooler: {
      // The old database's own name, which the pooler alone needs from now on.
      source: { host: 'billing.abcdefghijkl.eu-central-1.rds.amazonaws.com', database: 'billing' },
      // PgBouncer, TLS included, takes one core; the other is for the rest of the machine.
      instanceType: 'c6i.large',
      // To either database from each of both instances; the old one allows 200 in all.
      connectionsPerLogin: 40,
      // As many as billing opens at the end of a month, on one instance if the other is gone.
      maxClients: 1_000,
    },
  },

  agent: {
    // RDS's own.
    excludeSchemas: ['rdsadmin'],
    // In the pause the host leads the pooler's clients to the new database.
    cutover: { switches: [{ kind: 'pooler' }] },
    // The pooler knows these logins and no other.
    applicationLogins: {
      billing: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:billing/app-AbCdEf',
    },
  },

  notifications: {
    emails: ['billing-team@example.org'],
    // Billing closes its month at 90 % for an hour, which is nobody's alarm.
    thresholds: { DatabaseCpu: 95 },
  },

  tags: { project: 'ibex', team: 'billing' },
};
