import type { MigrationSettings } from '../lib/settings';

/**
 * A PostgreSQL 12 on machines of one's own into RDS for PostgreSQL 17, over a VPN or peering. The host reaches the
 * source by its network (routes to it are the network team's; the VPC's own tables lead to NAT only), and each role of
 * the application keeps its name, with a password of its own.
 */
export const settings: MigrationSettings = {
  name: 'self-hosted-to-rds',

  source: {
    version: 12,
    // VPN, peering or transit gateway: nothing of the source is on the internet.
    reach: 'private',
    // The database servers' network, primary and standby.
    cidrs: ['192.168.20.0/24'],
    // The servers show certificates of the company, whose authority the host does not have: encrypted, name unchecked.
    sslmode: 'require',
    // Filled by whoever runs the source.
    secretArn: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/source-AbCdEf',
  },

  target: {
    engine: 'postgres',
    version: '17.9',
    // m classes exist for RDS, not for Aurora.
    instanceClass: 'db.m7g.4xlarge',
    // Set true, and deploy, before the cutover: while loading a standby only slows each commit.
    multiAz: false,
    storage: {
      type: 'gp3',
      // From 400 GiB on, gp3 of RDS gives 12000 I/O a second and 500 MiB/s by itself.
      sizeGiB: 1_000,
      iops: 16_000,
      throughputMiBs: 1_000,
      // The load must not stop because an estimate was wrong.
      maxSizeGiB: 2_000,
    },
    database: 'shop',
    backupDays: 14,
    // The vault stands in another Region already.
    backupCopy: { vaultArn: 'arn:aws:backup:eu-west-1:111122223333:backup-vault:shop', days: 35 },
  },

  network: {
    // NAT is for packages, whose sources have no addresses that stay.
    httpEgress: 'anywhere',
    // Agreed with the network team: it is routed to the source.
    cidr: '10.70.0.0/20',
    // Systems Manager and secrets stay inside.
    interfaceEndpoints: ['ssm', 'ssmmessages', 'ec2messages', 'secretsmanager', 'logs'],
  },

  endpoint: {
    scheme: 'internal',
    // The application servers' network.
    allowedCidrs: ['192.168.30.0/24'],
    // Applications are told this name long before the cutover.
    privateName: {
      hostedZoneId: 'Z0123456789ABCDEFGHIJ',
      zoneName: 'shop.internal',
      recordName: 'db',
    },
  },

  host: {
    // 8 vCPU: 298 MiB/s to the volume.
    instanceType: 'm6i.2xlarge',
    volume: { sizeGiB: 800, iops: 4_000, throughputMiBs: 290 },
    // Debian's own, which needs no foreign repository for the server.
    postgresMajor: 15,
  },

  agent: {
    // Each role of the application with the secret that holds its password; other roles are made without one.
    applicationLogins: {
      shop_web: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/web-AbCdEf',
      shop_reporting: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/reporting-AbCdEf',
    },
  },

  notifications: {
    emails: ['database-team@example.org'],
    approvers: ['arn:aws:iam::111122223333:role/database-team'],
  },

  tags: { project: 'ibex', team: 'database' },
};
