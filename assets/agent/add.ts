import { capture } from './capture';
import { CAPTURED_FACT, inspectCapture, type Captured } from './capture/check';
import { refuseExcluded } from './capture/excluded';
import { forgetDropped } from './capture/forget-dropped';
import { refuseUnfitNames } from './capture/unfit-names';
import { readRelations } from './catalog/relations';
import type { Context } from './context';
import { copyAll } from './copy';
import { claimMove, requireNoSync } from './cutover/claim';
import { Failure } from './errors';
import { requireStanding } from './fence/standing';
import { copiedRelations } from './lease';
import type { Phase, PhaseOutcome } from './phase';
import { defineNew } from './schema/define-new';
import { CONSTRAINTS_FACT, sync } from './sync';
import type { Ends } from './sync/applier';
import { acceptAltered, watchCatalog } from './sync/catalog-watch';

/** Takes in what was defined on the source since the migration began, while the sync goes on. */
export const add: Phase = { name: 'add', after: ['sync'], afterAnyRun: true, once: false, braked: true, run };

/**
 * Schema, capture, copy and sync once more, for what is new alone, and in this order, so that no change is missed: the
 * triggers are there before the first row is read. May be repeated at any point: what of a new table is done is known
 * from the target (made, copied) and the source (captured), as in those phases.
 */
async function run(context: Context): Promise<PhaseOutcome> {
  await claimMove(context);
  await requireNoSync(context);
  const ends: Ends = { source: await context.connect('source'), target: await context.connect('target') };
  const standing = await requireStanding(ends);
  if (standing.kind !== 'serves' || standing.end === 'target') {
    throw new Failure('writes have been moved to the target already, and only what is there can be taken in');
  }
  const dropped = await forgetDropped(context, ends, 'add');
  await refuseExcluded(context);
  await refuseGaps(context, ends);
  // Before anything is made on the target.
  refuseUnfitNames(await readRelations(ends.source, context.config));
  const entries = await defineNew(context, ends);
  const relations = await readRelations(ends.source, context.config);
  const copied = await copiedRelations(ends.target);
  const appeared = relations.filter((relation) => !copied.has(relation.sql)).map((relation) => relation.sql);
  // Before anything is taken for known: a run that is killed after that must come by here again.
  if (entries > 0 || appeared.length > 0) await context.state.setFact(CONSTRAINTS_FACT, false);
  const altered = await acceptAltered(context, ends, relations, () => context.state.setFact(CONSTRAINTS_FACT, false));
  if (!(await context.state.fact(CONSTRAINTS_FACT))) {
    await capture.run(context);
    // Also of what has its rows: a run that was killed may have come no further, without keys and statistics.
    await copyAll(context);
  }
  // A run that was killed may have left the sync standing still; one that goes on is only asked how near it is.
  await sync.run(context);
  const left = await watchCatalog(context, ends.source);
  await context.evidence('what is new is taken in', left.length === 0, 'watchCatalog', {
    appeared,
    altered,
    dropped,
    left,
  });
  if (left.length > 0) throw new Failure(left.join('; '));
  return {
    message: `${appeared.length} new tables, ${entries} new objects and ${altered.length} altered tables taken in${forgotten(dropped)}; start verify`,
    result: { appeared, entries, altered, dropped },
  };
}

const forgotten = (dropped: readonly string[]): string =>
  dropped.length === 0 ? '' : `, ${dropped.length} dropped ones forgotten`;

/** What happened to a table that was captured and copied before cannot be mended here. */
async function refuseGaps(context: Context, { source }: Ends): Promise<void> {
  const captured = (await context.state.fact<Captured>(CAPTURED_FACT)) ?? {};
  const relations = await readRelations(source, context.config);
  const { problems } = await inspectCapture(context, source, relations);
  const lost = Object.keys(captured).flatMap((name) => problems.get(name) ?? []);
  if (lost.length > 0) {
    throw new Failure(`changes may have been missed: ${lost.join('; ')}; run cleanup and migrate again`);
  }
}
