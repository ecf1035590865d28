import { readLag } from '../bucardo/queues';
import { inspectCapture } from '../capture/check';
import { wayOnOf } from '../capture/way-on';
import { watchCatalog } from '../sync/catalog-watch';
import { standingProblems, TROUBLE_FACT, type Problems, type Trouble } from '../sync/facts';
import { watchIdentities } from '../sync/identity';
import { COMPARE_FACT, UNEQUAL_FACT, type Unequal } from '../sync/relation-problems';
import { supervisorRuns } from '../sync/supervisor-job';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import { countUnknown } from '../verify/dirty/last-keys';
import { block, firstOf, pass, warn, type Answer, type Gate } from './gate';

/** Changes that are counted at the most, per relation. */
const COUNTED = 1_000_000;

const MS_PER_HOUR = 3_600_000;

const capture: Gate = {
  name: 'capture in place',
  query: 'inspectCapture: pg_trigger of every migrated relation',
  again: true,
  forwardOnly: false,
  ask: async ({ context, source, target, relations }) => {
    const { problems } = await inspectCapture(context, source, relations);
    const lines = [...problems.values()];
    const result = { relations: relations.length, problems: lines.slice(0, 20) };
    if (lines.length === 0) return pass(`${relations.length} relations`, result);
    return block(firstOf(lines), await wayOnOf(context, target, problems, relations), result);
  },
};

const syncHealthy: Gate = {
  name: 'sync healthy',
  query: `standingProblems, fact ${TROUBLE_FACT}`,
  again: true,
  forwardOnly: false,
  ask: async ({ context, source, target, freezing }) => {
    await watchIdentities(context, { source, target });
    await watchCatalog(context, source);
    const problems = await standingProblems(context.state);
    const trouble = await context.state.fact<Trouble | null>(TROUBLE_FACT);
    const runs = supervisorRuns(context.config, context.direction);
    const result = { problems, trouble: trouble ?? null, runs };
    if (problems.length > 0) return block(firstOf(problems), 'see the log of supervise; then start verify', result);
    // After an attempt that was killed nobody applies; the catch-up that follows is then what brings it near.
    if (!runs && !freezing) return block('nobody applies changes', 'start sync', result);
    // Lag tells when it lasts.
    if (trouble && runs) return warn(trouble.message, 'the supervisor tries again by itself; see its log', result);
    return pass(runs ? 'running' : 'stopped; the cutover catches up itself', result);
  },
};

const lag: Gate = {
  name: 'lag',
  query: 'readLag: min(captured_at) of what Bucardo has not noted as applied',
  again: true,
  forwardOnly: false,
  ask: async ({ context, source, relations, freezing }) => {
    const { lagSeconds, backlogKeys } = context.config.ready;
    if (freezing && !supervisorRuns(context.config, context.direction))
      return pass('the cutover catches up itself', null);
    const found = await readLag(source, relations, COUNTED);
    const figure = `${found.seconds.toFixed(1)} s behind, ${found.changes.toLocaleString('en-US')} changes to apply`;
    if (found.seconds > lagSeconds) return block(figure, `wait until it is under ${lagSeconds} s`, found);
    if (found.changes > backlogKeys)
      return warn(figure, `over ${backlogKeys.toLocaleString('en-US')}: wait, or expect a longer cutover`, found);
    return pass(figure, found);
  },
};

const verified: Gate = {
  name: 'last full verify',
  query: 'ibex.phase, of verify',
  again: true,
  forwardOnly: true,
  ask: async ({ context }) => {
    const record = await context.state.phase('verify');
    if (record?.status !== 'succeeded')
      return block(record ? `verify ${record.status}` : 'never', 'start verify', record ?? null);
    const hours = (Date.now() - record.startedAt.getTime()) / MS_PER_HOUR;
    const result = { startedAt: record.startedAt, hours, message: record.message };
    const figure = `begun ${hours.toFixed(1)} hours ago, no row different`;
    const limit = context.config.ready.verifyHours;
    return hours > limit ? warn(figure, `older than ${limit} hours: start verify again`, result) : pass(figure, result);
  },
};

const leftToCompare: Gate = {
  name: 'keys left to compare',
  query: `DirtyKeys.standing: ibex.dirty_key and ibex.verified of the host; countUnknown; facts ${UNEQUAL_FACT}, ${COMPARE_FACT}`,
  again: true,
  forwardOnly: false,
  ask: async ({ context, source, relations }) => {
    const dirty = await DirtyKeys.open(context);
    const standing = await dirty.standing(relations).finally(() => dirty.close());
    const limit = context.config.ready.keysToCompare;
    const unknown = await countUnknown(source, standing, limit);
    const keys = standing.reduce((sum, one) => sum + one.keys, 0);
    const unequal = (await context.state.fact<Unequal>(UNEQUAL_FACT)) ?? {};
    const unable = (await context.state.fact<Problems | null>(COMPARE_FACT))?.problems ?? [];
    const different = standing
      .filter((one) => one.different > 0 || (one.verifiedAt === null && unequal[one.relation.sql] !== undefined))
      .map(({ relation }) => relation.sql);
    const [small, large] = [unknown.small.map(({ sql }) => sql), unknown.large.map(({ sql }) => sql)];
    const copiedAnew = new Set(standing.filter((one) => one.again).map(({ relation }) => relation.sql));
    const verifying = (of: readonly string[]): string =>
      of.every((relation) => copiedAnew.has(relation))
        ? 'wait: what was copied anew, or left behind by a rollback, is verified again by the sync itself; or start verify'
        : 'start verify again';
    const result = { keys, limit, different, unable, notVerified: { small, large, rows: unknown.rows } };
    const forward = context.direction === 'forward';
    // A rollback may be urgent: then the budget of the pause is the limit, and the snapshots held in it are compared.
    const refuse = (figure: string, todo: string): Answer => (forward ? block : warn)(figure, todo, result);
    const many = (count: number, what: string): string => `${count.toLocaleString('en-US')} ${what}`;
    if (different.length > 0)
      return forward
        ? block(`rows of ${firstOf(different)} were found different`, 'start verify with Repair', result)
        : block(
            `rows of ${firstOf(different)} were found different`,
            'have them written anew where they serve',
            result,
          );
    if (large.length > 0) return refuse(`not verified as a whole: ${firstOf(large)}`, verifying(large));
    const figure = many(keys, 'keys');
    const wait = `wait until it is under ${limit.toLocaleString('en-US')}, or raise agent.verify.dirtyKeysPerSecond`;
    if (unable.length > 0 && keys + unknown.rows <= limit)
      return warn(`${figure}; ${firstOf(unable)}`, 'mend that: else the last comparison of the cutover fails', result);
    if (small.length === 0) return keys > limit ? refuse(figure, wait) : pass(figure, result);
    const both = `${figure}, and ${many(unknown.rows, 'rows')} not verified before: ${firstOf(small)}`;
    return keys + unknown.rows > limit
      ? refuse(both, verifying(small))
      : warn(both, `${verifying(small)}, or have them compared in the pause`, result);
  },
};

/** Whether the target has, and will get, everything. */
export const REPLICATION_GATES: readonly Gate[] = [capture, syncHealthy, lag, verified, leftToCompare];
