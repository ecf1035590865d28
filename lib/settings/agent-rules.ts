import { MOST_SYNCS, syncNames } from '../../assets/agent/bucardo/names';
import type { SyncHandler } from '../../assets/agent/config';
import { COMPRESSION_LEVELS, type Compression, type CompressionMethod } from '../../assets/agent/dump/compression';
import { byDefault, flag, integer, listOf, mapOf, object, oneOf, optional, secretArn, text, type Rule } from './check';
import { DEFAULT_AGENT } from './defaults';
import { switchesRule } from './switch-rules';
import type { ResolvedSettings } from './types';

const identifier = (what: string): Rule<string> =>
  text(`must be ${what}: 1 to 63 characters, not beginning with "pg_"`, (value) => /^(?!pg_).{1,63}$/u.test(value));

type Agent = ResolvedSettings['agent'];
const jobs = (value: number): Rule<number> => byDefault(value, integer('connections', 1, 64));
const { capture, dump, restore, copy, sync, brake, verify, plans, ready, cutover, watch } = DEFAULT_AGENT;

const COMPRESSION = Object.entries(COMPRESSION_LEVELS)
  .map(([method, [least, most]]) => `"${method}" or "${method}:${least}" to "${method}:${most}"`)
  .join(', ');

const compressionRule = text<Compression>(`must be "none", ${COMPRESSION}`, (value) => {
  if (value === 'none') return true;
  const [, method = '', level] = /^(gzip|lz4|zstd)(?::([1-9]\d?))?$/.exec(value) ?? [];
  const levels = COMPRESSION_LEVELS[method as CompressionMethod] as readonly [number, number] | undefined;
  return levels !== undefined && (level === undefined || Number(level) <= levels[1]);
});

const handler = object<SyncHandler>({
  when: oneOf('conflict', 'exception'),
  file: text('must be an absolute path on the host', /^\/./),
  syncs: optional(listOf(oneOf(...syncNames(MOST_SYNCS)), { min: 1, max: MOST_SYNCS })),
});

const words = text('must be a text that is not empty', /\S/);
const statements = listOf(words, { max: 100 });

/** Rules about what the host program is told. */
export const agentRule = object<Agent>({
  capture: byDefault(
    {},
    object<Agent['capture']>({
      lockTimeoutMs: byDefault(capture.lockTimeoutMs, integer('milliseconds', 50, 60_000)),
      attempts: byDefault(capture.attempts, integer('attempts', 1, 10_000)),
    }),
  ),
  dump: byDefault(
    {},
    object<Agent['dump']>({
      jobs: jobs(dump.jobs),
      compression: byDefault(dump.compression, compressionRule),
    }),
  ),
  restore: byDefault({}, object<Agent['restore']>({ jobs: jobs(restore.jobs) })),
  copy: byDefault(
    {},
    object<Agent['copy']>({
      method: byDefault(copy.method, oneOf('dump', 'stream', 'onetimecopy')),
      onetimecopyMegabytes: byDefault(copy.onetimecopyMegabytes, integer('1,000,000 bytes', 1, 20_000)),
      jobs: jobs(copy.jobs),
      processes: byDefault(copy.processes, integer('processes', 1, 16)),
      chunkMegabytes: byDefault(copy.chunkMegabytes, integer('1,000,000 bytes', 1, 100_000)),
      maxBytesPerSecond: byDefault(
        copy.maxBytesPerSecond,
        integer('bytes a second, 0 for no limit', 0, 100_000_000_000),
      ),
      indexJobs: jobs(copy.indexJobs),
      maintenanceWorkMemMb: byDefault(copy.maintenanceWorkMemMb, integer('MB', 1, 65_536)),
      indexWorkers: byDefault(copy.indexWorkers, integer('workers', 0, 64)),
    }),
  ),
  sync: byDefault(
    {},
    object<Agent['sync']>({
      checkSeconds: byDefault(sync.checkSeconds, integer('seconds', 1, 300)),
      handoverKeys: byDefault(sync.handoverKeys, integer('keys', 100, 1_000_000_000)),
      takeBackKeys: byDefault(sync.takeBackKeys, integer('changes, 0 for never', 0, 1_000_000_000)),
      longestRunSeconds: optional(integer('seconds', 10, 86_400)),
      syncs: byDefault(sync.syncs, integer('syncs', 1, MOST_SYNCS)),
      handlers: byDefault(sync.handlers, listOf(handler, { max: 20 })),
      groups: byDefault(
        sync.groups,
        listOf(
          listOf(text('must be a pattern like schema.name, with * for anything', /^.+\..+$|^\*$/u), {
            min: 1,
            max: 1_000,
          }),
          {
            max: MOST_SYNCS - 1,
          },
        ),
      ),
    }),
  ),
  brake: byDefault(
    {},
    object<Agent['brake']>({
      slowSessions: byDefault(brake.slowSessions, integer('sessions, 0 for never', 0, 10_000)),
      pauseSessions: byDefault(brake.pauseSessions, integer('sessions, 0 for never', 0, 10_000)),
      lockWaitMs: byDefault(brake.lockWaitMs, integer('milliseconds, 0 for never', 0, 600_000)),
      queueMegabytes: byDefault(brake.queueMegabytes, integer('1,000,000 bytes, 0 for no limit', 0, 100_000_000)),
      queueGrowthMegabytes: byDefault(
        brake.queueGrowthMegabytes,
        integer('1,000,000 bytes a minute, 0 for never', 0, 100_000_000),
      ),
      hostFreeMegabytes: byDefault(brake.hostFreeMegabytes, integer('1,000,000 bytes, 0 for never', 0, 100_000_000)),
    }),
  ),
  verify: byDefault(
    {},
    object<Agent['verify']>({
      chunkRows: byDefault(verify.chunkRows, integer('rows', 100, 10_000_000)),
      jobs: jobs(verify.jobs),
      maxRowsPerSecond: byDefault(verify.maxRowsPerSecond, integer('rows a second, 0 for no limit', 0, 1_000_000_000)),
      dirtyKeysPerSecond: byDefault(verify.dirtyKeysPerSecond, integer('keys a second, 0 for none', 0, 1_000_000)),
      sequentialCheck: byDefault(verify.sequentialCheck, oneOf('once', 'always', 'never')),
      settleSeconds: byDefault(verify.settleSeconds, integer('seconds', 1, 3_600)),
    }),
  ),
  plans: byDefault(
    {},
    object<Agent['plans']>({
      statements: byDefault(plans.statements, integer('statements, 0 for none', 0, 1_000)),
      file: optional(text('must be an absolute path on the host', /^\/./)),
      timing: byDefault(plans.timing, oneOf('both', 'target', 'off')),
      timeoutMs: byDefault(plans.timeoutMs, integer('milliseconds', 10, 600_000)),
      sourceSeconds: byDefault(plans.sourceSeconds, integer('seconds', 0, 3_600)),
      worseFactor: byDefault(plans.worseFactor, integer('times', 2, 1_000)),
      onWorse: byDefault(plans.onWorse, oneOf('warn', 'block')),
      onFailure: byDefault(plans.onFailure, oneOf('warn', 'block')),
      warm: byDefault(plans.warm, oneOf('off', 'size', 'heat')),
      warmMegabytes: byDefault(
        plans.warmMegabytes,
        integer("1,000,000 bytes, 0 for the target's buffers", 0, 10_000_000),
      ),
    }),
  ),
  ready: byDefault(
    {},
    object<Agent['ready']>({
      lagSeconds: byDefault(ready.lagSeconds, integer('seconds', 1, 86_400)),
      backlogKeys: byDefault(ready.backlogKeys, integer('keys', 0, 1_000_000_000)),
      verifyHours: byDefault(ready.verifyHours, integer('hours', 1, 8_760)),
      keysToCompare: byDefault(ready.keysToCompare, integer('keys', 0, 1_000_000_000)),
      transactionSeconds: byDefault(ready.transactionSeconds, integer('seconds', 1, 86_400)),
      sequencePercent: byDefault(ready.sequencePercent, integer('per cent', 1, 100)),
      snapshot: byDefault(ready.snapshot, flag),
      snapshotHours: byDefault(ready.snapshotHours, integer('hours', 1, 8_760)),
      approvals: byDefault(ready.approvals, integer('people', 0, 10)),
      approvalHours: byDefault(ready.approvalHours, integer('hours', 1, 8_760)),
      health: byDefault(
        {},
        object<Agent['ready']['health']>({
          source: byDefault(ready.health.source, statements),
          target: byDefault(ready.health.target, statements),
          command: byDefault(ready.health.command, listOf(words, { max: 50 })),
          timeoutSeconds: byDefault(ready.health.timeoutSeconds, integer('seconds', 1, 600)),
        }),
      ),
    }),
  ),
  cutover: byDefault(
    {},
    object<Agent['cutover']>({
      budgetSeconds: byDefault(cutover.budgetSeconds, integer('seconds', 1, 3_600)),
      sequenceMargin: byDefault(cutover.sequenceMargin, integer('values', 0, 1_000_000_000)),
      compareAtFreeze: byDefault(cutover.compareAtFreeze, flag),
      wayBack: byDefault(cutover.wayBack, oneOf('armed', 'none')),
      wayBackWithout: byDefault(
        cutover.wayBackWithout,
        listOf(text('must be a name as the cutover gives it', /\S/), { max: 1_000 }),
      ),
      switches: byDefault(cutover.switches, switchesRule),
      readersFirst: byDefault(
        {},
        object<Agent['cutover']['readersFirst']>({
          switches: byDefault(cutover.readersFirst.switches, switchesRule),
          lagSeconds: byDefault(cutover.readersFirst.lagSeconds, integer('seconds', 1, 3_600)),
        }),
      ),
    }),
  ),
  watch: byDefault(
    {},
    object<Agent['watch']>({
      seconds: byDefault(watch.seconds, integer('seconds, 0 for no watch', 0, 604_800)),
      everySeconds: byDefault(watch.everySeconds, integer('seconds', 1, 600)),
      errorsPerMinute: byDefault(watch.errorsPerMinute, integer('errors a minute', 0, 1_000_000)),
      connectionsPercent: byDefault(watch.connectionsPercent, integer('per cent', 1, 100)),
      onBad: byDefault(watch.onBad, oneOf('report', 'rollback')),
      badLooks: byDefault(watch.badLooks, integer('looks', 1, 1_000)),
    }),
  ),
  excludeSchemas: byDefault([], listOf(identifier('the name of a schema'), { max: 1_000 })),
  applicationLogins: byDefault({}, mapOf(identifier('the name of a role'), secretArn, 100)),
});
