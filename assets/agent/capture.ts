import type { Client } from 'pg';
import { inTheWay, isBusy, longHolders } from './capture/busy';
import { CAPTURED_FACT, inspectCapture, type Captured } from './capture/check';
import { dropExcluded, refuseExcluded } from './capture/excluded';
import { forgetDropped } from './capture/forget-dropped';
import { beginCapture, captureIdOf, completeCapture } from './capture/identity';
import { installCapture } from './capture/install';
import { mendQueues } from './capture/mend-queues';
import { installShared } from './capture/objects';
import { addTruncateTriggers } from './capture/truncate-triggers';
import { refuseUnfitNames } from './capture/unfit-names';
import { readRelations, type Relation } from './catalog/relations';
import type { Context } from './context';
import { Failure } from './errors';
import { concernsAll, inOne, listed } from './failures';
import type { Phase, PhaseOutcome } from './phase';
import { keepCatalog } from './sync/catalog-watch';
import { watchIdentity } from './sync/identity';

async function run(context: Context): Promise<PhaseOutcome> {
  const source = await context.connect('source');
  await installShared(source);
  if ((await captureIdOf(source)) === undefined) await beginCapture(context, source);
  if (await isCopying(context)) {
    await context.with('target', (target) => forgetDropped(context, { source, target }, 'capture'));
    await refuseExcluded(context);
  }
  const relations = await readRelations(source, context.config);
  refuseUnfitNames(relations);
  const excluded = await dropExcluded(context, source, relations);
  const { problems } = await inspectCapture(context, source, relations);
  await refuseGaps(context, relations, problems);
  await mendQueues(context, source, relations);

  const pending = relations.filter((relation) => problems.has(relation.sql));
  if (pending.length > 0) await beginCapture(context, source);
  const retries = await installAll(context, source, pending, relations.length);
  await addTruncateTriggers(context, source, relations);
  const after = await inspectCapture(context, source, relations);
  await context.state.setFact(CAPTURED_FACT, after.captured);
  await context.evidence('capture complete', after.problems.size === 0, 'inspectCapture', [...after.problems.values()]);
  if (after.problems.size > 0) throw new Failure(`capture is not complete: ${[...after.problems.values()].join('; ')}`);
  await completeCapture(context, source);
  await keepCatalog(context, source);
  await watchIdentity(context, source);
  context.progress.report(relations.length, relations.length, 'relations', '');
  return {
    message: `${relations.length} relations captured, ${pending.length} of them now, ${retries} lock retries${noMore(excluded)}`,
    result: { relations: relations.length, installed: pending.length, retries },
  };
}

const noMore = (names: readonly string[]): string =>
  names.length === 0 ? '' : `; no more, since agent.excludeSchemas leaves them out: ${listed(names)}`;

/**
 * Captures these relations, and returns how often one had to be tried again. One that cannot be captured does not keep the
 * others from it; which those were is thrown at the end.
 *
 * @param all how many relations there are with those that are captured
 */
async function installAll(
  context: Context,
  source: Client,
  pending: readonly Relation[],
  all: number,
): Promise<number> {
  const failures: unknown[] = [];
  let retries = 0;
  let isOneBusy = false;
  for (const [index, relation] of (await heldLast(context, source, pending)).entries()) {
    context.progress.report(all - pending.length + index, all, 'relations', relation.sql);
    try {
      // Each try takes a while, and who was in the way is to be told before all others have been waited for as often.
      const attempts = isOneBusy ? 1 : context.config.capture.attempts;
      retries += (await installCapture(context, source, relation, attempts)) - 1;
    } catch (error) {
      if (concernsAll(error)) throw error;
      context.log.error({ relation: relation.sql, err: error }, 'not captured');
      isOneBusy ||= isBusy((error as Error).cause ?? error);
      failures.push(error);
    }
  }
  if (failures.length > 0) throw inOne(failures);
  return retries;
}

/** Names what is held by a long transaction or vacuum, and puts it last: its tries hold up no other table, and it may end. */
async function heldLast(context: Context, source: Client, pending: readonly Relation[]): Promise<readonly Relation[]> {
  const oids = pending.map((relation) => relation.oid);
  const holders = await longHolders(source, oids, context.config.capture.lockTimeoutMs);
  const held = pending.filter((relation) => holders.some(({ oid }) => oid === relation.oid));
  for (const relation of held) {
    const blockers = inTheWay(holders.filter(({ oid }) => oid === relation.oid));
    context.log.warn({ relation: relation.sql, blockers }, 'relation is held for long; it is captured last');
  }
  return [...pending.filter((relation) => !held.includes(relation)), ...held];
}

/** Whether rows may have been read, so that from then on no change may be missed. */
const isCopying = async ({ state }: Context): Promise<boolean> =>
  (await state.phases()).some(({ name }) => name === 'dump' || name === 'copy');

/** A trigger that was there, and is not any more, once copying began: what changed meanwhile is unknown. */
async function refuseGaps(
  context: Context,
  relations: readonly Relation[],
  problems: Map<string, string>,
): Promise<void> {
  const remembered = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const lost = relations.filter((relation) => remembered[relation.sql] !== undefined && problems.has(relation.sql));
  const gone = [...problems.keys()].filter((name) => !relations.some((relation) => relation.sql === name));
  if (lost.length + gone.length > 0 && (await isCopying(context))) {
    const lines = [...lost.map((relation) => relation.sql), ...gone].map((name) => problems.get(name) ?? name);
    throw new Failure(
      `changes may have been missed since the copy began: ${lines.join('; ')}; run cleanup and migrate again`,
    );
  }
  if (gone.length > 0 || lost.length > 0) {
    const kept = Object.entries(remembered).filter(([name]) => !problems.has(name));
    await context.state.setFact(CAPTURED_FACT, Object.fromEntries(kept));
  }
}

/** Installs the triggers that record the key of every changed row, relation by relation. */
export const capture: Phase = { name: 'capture', after: ['schema'], once: false, braked: true, run };
