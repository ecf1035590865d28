import type { MigrationSettings } from '../lib/settings';

/**
 * A PostgreSQL 9.3 into Aurora PostgreSQL 16. What stands today: the whole environment is built, and `assess` refuses
 * the source by its version. What does not: the host program asks its questions of catalogs and settings as they are
 * since PostgreSQL 10, and cannot migrate older ones yet. So `assessOnly` has to be said; a way on is to upgrade the
 * source to 10 or newer first.
 */
export const settings: MigrationSettings = {
  name: 'legacy-to-aurora',

  source: {
    version: 9.3,
    assessOnly: true,
    reach: 'private',
    cidrs: ['172.20.5.10/32'],
    // An old server offers no TLS that OpenSSL of today takes: only inside a VPN.
    sslmode: 'disable',
  },

  target: {
    engine: 'aurora-postgresql',
    version: '16.9',
    instanceClass: 'db.r6i.xlarge',
    // A small database: the charge for I/O of the load is below the price of io-optimized.
    storage: 'standard',
    database: 'archive',
  },

  network: {
    // Package sources have no addresses that stay.
    httpEgress: 'anywhere',
    cidr: '10.80.0.0/22',
  },

  endpoint: {
    scheme: 'internal',
    allowedCidrs: ['172.20.6.0/24'],
    // Old drivers keep silent connections; cut them after an hour.
    idleTimeoutSeconds: 3_600,
  },

  host: {
    instanceType: 'm6i.xlarge',
    volume: { sizeGiB: 100, iops: 3_000, throughputMiBs: 125 },
    postgresMajor: 15,
  },

  // One job at a time: the source is a small machine.
  agent: { dump: { jobs: 1 }, restore: { jobs: 2 } },

  tags: { project: 'ibex' },
};
