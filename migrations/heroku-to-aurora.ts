import type { MigrationSettings } from '../lib/settings';

/**
 * A Heroku Postgres 11 into Aurora PostgreSQL 17, for applications that stay on Heroku: they reach the target over an
 * internet-facing load balancer that lets in the addresses of their private space only. Copy this file, give it the
 * name of your migration, and change what differs.
 */
export const settings: MigrationSettings = {
  // Begins the names of stacks and runbooks: heroku-to-aurora-target, heroku-to-aurora-migration.
  name: 'heroku-to-aurora',

  source: {
    // Major version, as `SHOW server_version` says.
    version: 11,
    // Heroku's databases are reached over the internet.
    reach: 'public',
    // At addresses that change, so the host may open connections to any, on this port.
    cidrs: 'anywhere',
    // TCP port.
    port: 5432,
    // Heroku's servers show self-signed certificates, so their name cannot be checked.
    sslmode: 'require',
    // No `secretArn`: the stack makes an empty secret, and its output says how to fill it.
    // A fork is dumped in the source's stead: taken when capture has succeeded (`heroku addons:create heroku-postgresql
    // --fork`), and deleted after the dump. Port and TLS are the source's; it has a secret of its own.
    fork: {},
  },

  target: {
    engine: 'aurora-postgresql',
    // The major decides the client tools on the host too.
    version: '17.9',
    // Memory for the working set of the source, and for index builds during the load.
    instanceClass: 'db.r7g.2xlarge',
    // Readers beside the writer: none while loading; add one before cutover.
    readers: 0,
    // No charge for I/O while loading; `standard` afterwards where I/O is under a quarter of the bill.
    storage: 'io-optimized',
    // Name of the database that is made on the cluster.
    database: 'app',
    // Neither the cluster nor the load balancer can be deleted by mistake.
    deletionProtection: true,
    // Days, 1 to 35.
    backupDays: 7,
    // UTC; the quietest hour of the applications.
    backupWindow: '01:00-02:00',
    // UTC; far from the planned cutover.
    maintenanceWindow: 'sun:03:00-sun:04:00',
    // Seconds; shows which process of the server took the memory or the disk.
    enhancedMonitoringSeconds: 15,
    // The free mode: a week of Database Insights.
    insights: 'standard',
  },

  network: {
    // Package sources have no addresses that stay, and there is no mirror of them.
    httpEgress: 'anywhere',
    // Free in your organisation, in case that the VPC is peered one day.
    cidr: '10.64.0.0/16',
    // No `availabilityZones`: the first two of the Region.
    // One gateway, one fixed address, for a source with a firewall.
    natGateways: 1,
    // Days.
    flowLogDays: 30,
  },

  endpoint: {
    // Applications that stay on Heroku come over the internet.
    scheme: 'internet-facing',
    // Outbound addresses of the private space (`heroku spaces:info`); these are examples.
    allowedCidrs: ['203.0.113.10/32', '203.0.113.11/32'],
    // Not every address may try passwords.
    allowEveryAddress: false,
    // TCP port.
    port: 5432,
    // Seconds; the longest that a load balancer allows, since connection pools keep silent connections for long.
    idleTimeoutSeconds: 6_000,
  },

  host: {
    // 16 vCPU, 64 GiB; sustains 596 MiB/s to its volume.
    instanceType: 'm6i.4xlarge',
    volume: {
      // GiB: the compressed dump, and as much again for Bucardo's queues and logs.
      sizeGiB: 500,
      // I/O operations a second.
      iops: 6_000,
      // MiB a second; dump and restore read and write the volume sequentially.
      throughputMiBs: 500,
    },
    // No `image`: the newest Debian 12 when the stack is first deployed, and the same ever after.
    // Bucardo's own PostgreSQL.
    postgresMajor: 11,
    // Set false, and deploy, before the migration stack is destroyed.
    terminationProtection: true,
  },

  agent: {
    capture: {
      // Milliseconds that writers of one table may queue behind a trigger's installation.
      lockTimeoutMs: 500,
      // Tries for each table.
      attempts: 60,
    },
    dump: {
      // Connections to the source; Heroku's plans limit them.
      jobs: 8,
      // Or 'none', 'lz4' or 'zstd', each with a level of its own.
      compression: 'gzip:5',
    },
    // Connections to the target, one for each vCPU.
    restore: { jobs: 8 },
    // Another way for the same rows, from server to server, which needs no room on the volume.
    copy: {
      // 'dump' takes the phases dump and restore, 'stream' the phase copy, and so does Bucardo's own 'onetimecopy'.
      method: 'dump',
      // The most that onetimecopy copies, since it does so under one snapshot.
      onetimecopyMegabytes: 2_000,
      // Chunks at once in each process, and processes: so many connections to either side.
      jobs: 4,
      processes: 2,
      // How much is read under one snapshot, and is repeated after an interruption.
      chunkMegabytes: 1_000,
      // No limit.
      maxBytesPerSecond: 0,
      // Indexes that are built at once on the target, each with so much memory.
      indexJobs: 4,
      maintenanceWorkMemMb: 512,
      // Parallel workers of the server for each of them.
      indexWorkers: 2,
    },
    sync: {
      // Seconds between Bucardo's looks for changes.
      checkSeconds: 1,
      // Changed keys under which catch-up hands over to Bucardo; at least 100.
      handoverKeys: 10_000,
      // Waiting changes from which catch-up takes over again, twice that at least; 0 would be never.
      takeBackKeys: 500_000,
      // Processes of Bucardo, each with its part of the tables.
      syncs: 2,
      // No table is so busy that it needs one of its own.
      groups: [],
      // No Perl of your own for conflicts and exceptions.
      handlers: [],
    },
    brake: {
      // Active sessions of the applications from which rows move at half speed, and not at all.
      slowSessions: 64,
      pauseSessions: 128,
      // Milliseconds that somebody may wait for a lock of ours until rows stand still.
      lockWaitMs: 2_000,
      // 1,000,000 bytes of captured changes on the source at which capture is taken off, and the migration ends.
      queueMegabytes: 20_000,
      // 1,000,000 bytes a minute by which captured changes grow, from which rows move at half speed.
      queueGrowthMegabytes: 500,
      // 1,000,000 bytes that stay free on the host's volume.
      hostFreeMegabytes: 5_000,
    },
    verify: {
      // Rows in one comparison.
      chunkRows: 10_000,
      // Connections to either side.
      jobs: 4,
      // Rows of the source a second, of all connections together; 0 is no limit.
      maxRowsPerSecond: 0,
      // Keys a second that are compared again after they were applied, so that little is left for the pause.
      dirtyKeysPerSecond: 2_000,
      // Each table's key index is held against a sequential pass: once, always or never.
      sequentialCheck: 'once',
      // Seconds that a change may be on its way before it counts as a difference.
      settleSeconds: 30,
    },
    // How both ends plan and run the statements that cost the source most (docs/plans.md).
    plans: {
      // How many of pg_stat_statements; a file of statements on the host may come beside them (`file`).
      statements: 50,
      // What is proven to only read is run on both ends, on the target alone, or nowhere.
      timing: 'both',
      // Milliseconds for one statement, and seconds for all of them together on the source.
      timeoutMs: 2_000,
      sourceSeconds: 30,
      // Times the source's figure that count as worse, and what `ready` says then.
      worseFactor: 3,
      onWorse: 'warn',
      // What `ready` says of a statement that the target refuses.
      onFailure: 'block',
      // What is read into the target's memory first: nothing, by size, or what the source reads most; 0: what fits.
      warm: 'off',
      warmMegabytes: 0,
    },
    // Limits of the gates before the cutover; a gate says the figure and what to do.
    ready: {
      // Seconds behind with which writes may be stopped.
      lagSeconds: 30,
      // Changes still to apply, above which a warning says that the cutover will take longer.
      backlogKeys: 20_000,
      // Hours after which the last verify is called old.
      verifyHours: 24,
      // Keys applied and not yet compared again, above which the cutover is refused.
      keysToCompare: 20_000,
      // Seconds after which a transaction at the source counts as long: the freeze waits for those that write.
      transactionSeconds: 30,
      // Used part of a sequence's range from which it is warned of; per cent.
      sequencePercent: 80,
      // Take a snapshot of the target between approval and cutover, and wait for it.
      snapshot: true,
      // Hours after which a snapshot is too old as a rollback point.
      snapshotHours: 24,
      // How many people approve the cutover (0: who may start it decides), and for how many hours that counts.
      approvals: 0,
      approvalHours: 24,
      // How the application is asked if it is well: statements (a first column that is not false), a command (status 0).
      health: { source: [], target: [], command: [], timeoutSeconds: 10 },
    },
    cutover: {
      // Seconds without writes, at most; then the source takes them again.
      budgetSeconds: 30,
      // Values that each sequence skips.
      sequenceMargin: 1_000,
      // Every row is compared as it stood in the pause.
      compareAtFreeze: true,
      // Heroku lets no login set session_replication_role, so nothing can be fed back to it.
      wayBack: 'none',
      // Nothing to name, where nothing goes back.
      wayBackWithout: [],
      // The operator runs `heroku config:set` when the runbook says so.
      switches: [],
      // Readers have no address of their own that could be moved before that.
      readersFirst: { switches: [], lagSeconds: 2 },
    },
    // What is looked at once the target takes the writes (docs/watch.md).
    watch: {
      // Seconds; 0 for no watch.
      seconds: 1_800,
      // Seconds from one look to the next.
      everySeconds: 10,
      // Errors a minute in the target's log that are ordinary for the applications; more are bad.
      errorsPerMinute: 60,
      // Used part of the target's connections from which it is warned of; per cent.
      connectionsPercent: 80,
      // Bad looks in a row are reported; there is no way back to Heroku that they could start.
      onBad: 'report',
      // So many of them in a row are one too many.
      badLooks: 6,
    },
    // Heroku's own schemas.
    excludeSchemas: ['heroku_ext', '_heroku'],
    // The ARN of a secret by role name, for each login of an application that is to exist on the target.
    applicationLogins: {},
  },

  notifications: {
    // Each address has to confirm a message from AWS.
    emails: [],
    // ARNs of users and roles; none here, so that `migrate` asks for them at its start.
    approvers: [],
  },

  // On every resource.
  tags: { project: 'ibex' },
};
