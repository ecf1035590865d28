import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { AgentConfig } from '../config';
import type { Context } from '../context';
import { PAUSES_MS } from '../copy/reconnecting';
import { oneLine } from '../errors';
import { noticeRestart } from '../sync/identity';
import { longestRunOf } from '../sync/longest-run';
import { compareAll, type CompareAllOptions, type Comparison } from './compare-all';
import { compareLive } from './compare-live';
import { differing } from './comparison';
import { DirtyKeys } from './dirty/dirty-keys';
import { RelationSql } from './relation-sql';
import { queueKeys, untilApplied } from './repair';

/** What the comparison of all rows found. */
export interface RowsOutcome {
  readonly comparison: Comparison;
  /** Keys that were handed to the queues of changes, and have been applied since. */
  readonly repairedKeys: number;
}

/** What a phase adds, which has time and tells how far it is. */
interface MoreOptions extends Pick<CompareAllOptions, 'onProgress' | 'pauses'> {
  /** Told whose transaction is waited for before the first row is read. @default that is waited for a minute */
  readonly onWait?: (whom: string) => void;
}

/** Compares every row of the relations while writes go on, with evidence; repairs what differs where that was asked. */
export async function verifyRows(context: Context, relations: readonly Relation[]): Promise<RowsOutcome> {
  const repairs = new Map<Relation, number>();
  const first = await compareOnce(context, relations, context.config.run?.repair === true ? repairs : undefined);
  if (repairs.size === 0) return { comparison: first, repairedKeys: 0 };
  const repaired = [...repairs.keys()];
  const repairedKeys = [...repairs.values()].reduce((sum, keys) => sum + keys, 0);
  context.log.info({ relations: repaired.map(({ sql }) => sql), keys: repairedKeys }, 'keys are applied anew');
  await context.state.count('keys.repaired', repairedKeys);
  await context.evidence('differing keys handed to the queues of changes', true, 'queueKeys', {
    keys: Object.fromEntries([...repairs].map(([relation, keys]) => [relation.sql, keys])),
    examples: first.examples,
  });
  const told = (left: number): void => {
    // Other changes may wait in the same queues.
    const done = Math.max(0, repairedKeys - left);
    context.progress.report(done, repairedKeys, 'keys', 'waits until the sync has applied them anew');
  };
  await context.with('source', (source) => untilApplied(source, repaired, patienceOf(context.config), told));
  const again = await compareOnce(context, repaired, undefined);
  return { comparison: withNewer(first, again), repairedKeys };
}

/** A run that began before the keys were handed over brings none of them, and the next one all at once; seconds. */
const patienceOf = (config: AgentConfig): number => Math.max(config.verify.settleSeconds, 2 * longestRunOf(config));

async function compareOnce(
  context: Context,
  relations: readonly Relation[],
  repairs: Map<Relation, number> | undefined,
): Promise<Comparison> {
  const { progress } = context;
  progress.restart();
  const expected = relations.reduce((sum, relation) => sum + relation.rows, 0);
  return compareRows(context, relations, repairs, {
    pauses: PAUSES_MS,
    onWait: (whom) => progress.report(0, 0, 'rows', whom),
    onProgress: ({ rows, relation }) => progress.report(rows, Math.max(rows, expected), 'rows', relation),
  });
}

/**
 * Compares every row of the relations while writes go on, once, with evidence. What is equal counts as verified.
 *
 * @param repairs where keys that differ, and were handed to the queues of changes, are counted. @default none are
 */
export async function compareRows(
  context: Context,
  relations: readonly Relation[],
  repairs?: Map<Relation, number>,
  more: MoreOptions = {},
): Promise<Comparison> {
  const dirty = await DirtyKeys.open(context);
  try {
    const comparison = await compareAndKeep(context, relations, repairs, dirty, more);
    await keepEvidence(context, relations, comparison);
    return comparison;
  } finally {
    await dirty.close();
  }
}

/** Compares, and keeps which relations were found equal: from then on only what changes needs comparing. */
async function compareAndKeep(
  context: Context,
  relations: readonly Relation[],
  repairs: Map<Relation, number> | undefined,
  dirty: DirtyKeys,
  { onWait, ...more }: MoreOptions,
): Promise<Comparison> {
  const { verify } = context.config;
  const begun = await context.with('source', (source) => dirty.begin(source, relations, onWait));
  const comparison = await compareAll({
    openSource: () => context.connect('source'),
    openTarget: targetSessions(context),
    openMemory: () => context.connectMemory(),
    relations,
    jobs: verify.jobs,
    chunkRows: verify.chunkRows,
    maxRowsPerSecond: verify.maxRowsPerSecond,
    paced: context.brake,
    onInterrupted: (relation, error, pause) =>
      context.log.warn({ relation, pause, cause: oneLine(error) }, 'comparison interrupted'),
    ...more,
    compare: (options) =>
      compareLive(
        {
          ...options,
          onInFlight: (keys) => dirty.mark(options.relation, keys),
          onProven: async (differences) => {
            if (!repairs) return;
            const { source, relation } = options;
            const keys = differences.map(({ key }) => key);
            await queueKeys(source, relation, keys);
            repairs.set(relation, (repairs.get(relation) ?? 0) + keys.length);
          },
        },
        verify,
      ),
  });
  const equal = new Map(
    comparison.comparisons
      .filter(({ differences }) => differing(differences) === 0)
      .map(({ relation, sourceRows }) => [relation, sourceRows]),
  );
  for (const [relation, beginning] of begun) await dirty.end(relation, beginning, equal.get(relation.sql));
  return comparison;
}

/** Opens sessions with the target. They look one after the other whether it was started anew, so that it is told once. */
function targetSessions(context: Context): () => Promise<Client> {
  let looked: Promise<void> = Promise.resolve();
  return async () => {
    const target = await context.connect('target');
    looked = looked.catch(() => undefined).then(() => noticeRestart(context, target));
    try {
      await looked;
      return target;
    } catch (error) {
      await target.end().catch(() => undefined);
      throw error;
    }
  };
}

async function keepEvidence(context: Context, relations: readonly Relation[], comparison: Comparison): Promise<void> {
  const { rowsCompared, rowsDifferent, inFlight, seconds, notCompared, examples } = comparison;
  const all = notCompared.length === 0;
  await context.evidence('every relation could be compared', all, statementOf(relations), {
    relations: comparison.relations,
    notCompared,
  });
  await context.evidence('every row is equal or in flight', all && rowsDifferent === 0, statementOf(relations), {
    rowsCompared,
    rowsDifferent,
    inFlight,
    inFlightByRelation: inFlightByRelation(comparison),
    seconds,
    examples,
  });
}

/** The statement that both ends answered for each chunk, as asked of the first relation. */
function statementOf(relations: readonly Relation[]): string {
  const [first] = relations;
  if (!first) return 'no relation';
  return new RelationSql(first, 'hash of the row').sums({ text: 'WHERE key in chunk', values: [] });
}

/** Rows that were still on their way, by relation. */
export const inFlightByRelation = (comparison: Comparison): Record<string, number> =>
  Object.fromEntries(
    comparison.comparisons.filter(({ inFlight }) => inFlight > 0).map(({ relation, inFlight }) => [relation, inFlight]),
  );

/** The earlier comparison, with what the later one found of the relations that it compared again. */
function withNewer(first: Comparison, again: Comparison): Comparison {
  const renewed = new Set([...again.comparisons, ...again.notCompared].map(({ relation }) => relation));
  const comparisons = [...first.comparisons.filter(({ relation }) => !renewed.has(relation)), ...again.comparisons];
  const notCompared = [...first.notCompared, ...again.notCompared];
  const total = (of: (one: Comparison['comparisons'][number]) => number): number =>
    comparisons.reduce((sum, one) => sum + of(one), 0);
  const rowsDifferent = total(({ differences }) => differing(differences));
  return {
    ok: rowsDifferent === 0 && notCompared.length === 0,
    rowsCompared: total(({ sourceRows }) => sourceRows),
    rowsDifferent,
    inFlight: total(({ inFlight }) => inFlight),
    relations: comparisons.length,
    seconds: first.seconds + again.seconds,
    notCompared,
    examples: again.examples,
    comparisons,
  };
}
