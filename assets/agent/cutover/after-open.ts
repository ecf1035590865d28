import { fillMaterializedViews } from '../constraints';
import { Failure, oneLine } from '../errors';
import { removeFence } from '../fence';
import type { PhaseOutcome } from '../phase';
import { requireDone } from '../switch/switches';
import type { PauseInput, PauseOutcome } from './pause';

/** Fact of the comparison at the freeze. */
export const FREEZE_FACT = 'cutover.freeze';

/**
 * What follows once the target takes writes, and no client waits for: compare both ends as they stood in the pause,
 * refresh materialized views, take the open fence off the target's tables.
 */
export async function afterOpen(input: PauseInput, outcome: PauseOutcome): Promise<PhaseOutcome> {
  const { context, timeline, target, switches } = input;
  const pauseMs = Math.round(timeline.elapsed());
  const finishing = switches.finish(context.real('target'));
  const frozen = await compareFrozen(input, outcome);
  const refreshed = await refreshMaterializedViews(input);
  const stillFenced = await removeFence(target);
  const finished = await finishing;
  const result = {
    pauseMs,
    steps: timeline.steps,
    fence: outcome.fence,
    drainedKeys: outcome.drainedKeys,
    sequences: outcome.sequences,
    switched: outcome.switched,
    clients: [...outcome.released, ...finished],
    freeze: frozen,
    materializedViews: refreshed,
    openFenceLeft: stillFenced,
  };
  await context.state.setFact('cutover.result', result);
  if (frozen) refuseDifference(frozen, outcome.held !== undefined);
  requireDone(result.clients, `writes are open: start ${context.phase} again, which moves the clients once more`);
  return {
    message: `the target takes writes; ${outcome.switched}; write pause ${pauseMs} ms${describe(frozen)}`,
    result,
  };
}

/**
 * Compares on the held snapshots, once. A later run finds what an earlier one found: a difference does not go away
 * because the phase was started again, and both ends as they were in the pause cannot be had a second time.
 */
async function compareFrozen({ context, relations }: PauseInput, { held }: PauseOutcome): Promise<Frozen | undefined> {
  if (!held) return (await context.state.fact<Frozen | null>(FREEZE_FACT)) ?? undefined;
  context.progress.restart();
  const expected = relations.reduce((sum, relation) => sum + relation.rows, 0);
  const comparison = await held.compare(relations, ({ rows, relation }) =>
    context.progress.report(rows, Math.max(rows, Math.round(expected)), 'rows', `comparing ${relation}`),
  );
  const { rowsCompared, rowsDifferent, seconds, examples, notCompared, ok } = comparison;
  const complete = notCompared.length === 0;
  const frozen = { rowsCompared, rowsDifferent, seconds, complete, examples, notCompared };
  await context.evidence('every row equal at the freeze', ok, 'compareAll', frozen);
  await context.state.setFact(FREEZE_FACT, frozen);
  return frozen;
}

/** Throws Failure for a difference, always, and for a relation that could not be compared, in the run that tried. */
function refuseDifference(frozen: Frozen, tried: boolean): void {
  const missing = frozen.notCompared.map(({ relation, cause }) => `${relation} (${cause})`).join(', ');
  if (frozen.rowsDifferent > 0) {
    throw new Failure(
      `writes are open on the target, but ${frozen.rowsDifferent} rows differ from the source as it was in the pause; see the report before anything else`,
    );
  }
  if (tried && missing !== '') {
    throw new Failure(
      `writes are open on the target, and these could not be compared as they were in the pause: ${missing}; start cutover again to go on without`,
    );
  }
}

function describe(frozen: Frozen | undefined): string {
  if (!frozen) return '; rows were not compared at the freeze';
  const rows = frozen.rowsCompared.toLocaleString('en-US');
  const missing = frozen.notCompared.map(({ relation }) => relation).join(', ');
  return `, ${rows} rows compared at the freeze, 0 different${missing === '' ? '' : `; NOT compared: ${missing}`}`;
}

/** What the comparison at the freeze found. */
interface Frozen {
  readonly rowsCompared: number;
  readonly rowsDifferent: number;
  readonly seconds: number;
  readonly complete: boolean;
  readonly notCompared: readonly { readonly relation: string; readonly cause: string }[];
}

/** The views are as old as the build of the constraints. A stale view is no reason to call the cutover failed. */
async function refreshMaterializedViews({ context, source, target }: PauseInput): Promise<string> {
  try {
    return `${await fillMaterializedViews(source, target, context, true)} refreshed`;
  } catch (error) {
    context.log.warn({ err: error }, 'materialized views not refreshed');
    return oneLine(error);
  }
}
