import type { ResolvedSettings } from './types';

/** Debian's own parameter with its newest image of release 12 for amd64, in every Region. */
export const DEBIAN_12_PARAMETER = '/aws/service/debian/release/12/latest/amd64';

/** The same of release 13. */
export const DEBIAN_13_PARAMETER = '/aws/service/debian/release/13/latest/amd64';

/** Node.js 22 (maintained to April 2027) with the checksum of its SHASUMS256.txt. */
export const DEFAULT_NODE = {
  url: 'https://nodejs.org/dist/v22.22.3/node-v22.22.3-linux-x64.tar.xz',
  sha256: '2e5d13569282d016861fae7c8f935e741693c269101a5bebcf761a5376d1f99f',
};

/** How the host program works unless settings say otherwise. */
export const DEFAULT_AGENT: ResolvedSettings['agent'] = {
  // Writers of a table queue at most this long behind the trigger's installation, then it steps back and tries again.
  capture: { lockTimeoutMs: 500, attempts: 60 },
  dump: { jobs: 8, compression: 'gzip:5' },
  restore: { jobs: 8 },
  copy: {
    method: 'dump',
    // A minute or two under one snapshot.
    onetimecopyMegabytes: 2_000,
    jobs: 4,
    processes: 2,
    // Ten seconds at 100 MB/s.
    chunkMegabytes: 1_000,
    maxBytesPerSecond: 0,
    indexJobs: 4,
    maintenanceWorkMemMb: 512,
    indexWorkers: 2,
  },
  sync: { checkSeconds: 1, handoverKeys: 10_000, takeBackKeys: 500_000, syncs: 2, groups: [], handlers: [] },
  // Far above what a healthy source has; a queue of 20 GB is some 200 million changes.
  brake: {
    slowSessions: 64,
    pauseSessions: 128,
    lockWaitMs: 2_000,
    queueMegabytes: 20_000,
    queueGrowthMegabytes: 500,
    hostFreeMegabytes: 5_000,
  },
  verify: {
    chunkRows: 10_000,
    jobs: 4,
    maxRowsPerSecond: 0,
    dirtyKeysPerSecond: 2_000,
    sequentialCheck: 'once',
    settleSeconds: 30,
  },
  cutover: {
    budgetSeconds: 30,
    sequenceMargin: 1_000,
    compareAtFreeze: true,
    wayBack: 'armed',
    wayBackWithout: [],
    switches: [],
    readersFirst: { switches: [], lagSeconds: 2 },
  },
  watch: {
    // As long as it takes until caches are warm and the jobs of the quarter hours have run.
    seconds: 1_800,
    everySeconds: 10,
    errorsPerMinute: 60,
    connectionsPercent: 80,
    onBad: 'report',
    // A minute: a restart of an application is over by then.
    badLooks: 6,
  },
  plans: {
    statements: 50,
    timing: 'both',
    timeoutMs: 2_000,
    sourceSeconds: 30,
    // Less is within what a cold cache and other work on a machine do.
    worseFactor: 3,
    onWorse: 'warn',
    onFailure: 'block',
    warm: 'off',
    warmMegabytes: 0,
  },
  ready: {
    // What is left when writes stop is applied in the pause, at some thousand changes a second.
    lagSeconds: 30,
    backlogKeys: 20_000,
    // Dirty chunks are looked at again all the time; what lies in quiet tables is as old as the last verify.
    verifyHours: 24,
    // What was applied in the last seconds of a busy source; the rest is compared again all the time.
    keysToCompare: 20_000,
    // The freeze waits for a writer no longer than the budget.
    transactionSeconds: 30,
    sequencePercent: 80,
    snapshot: true,
    snapshotHours: 24,
    approvals: 0,
    approvalHours: 24,
    health: { source: [], target: [], command: [], timeoutSeconds: 10 },
  },
  excludeSchemas: [],
  applicationLogins: {},
};
