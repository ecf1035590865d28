import { fillMaterializedViews } from '../constraints';
import { Failure, oneLine } from '../errors';
import { removeFence } from '../fence';
import type { PhaseOutcome } from '../phase';
import type { PauseInput, PauseOutcome } from './pause';

/**
 * What follows once the target takes writes, and no client waits for: compare both ends as they stood in the pause,
 * refresh materialized views, take the open fence off the target's tables.
 */
export async function afterOpen(input: PauseInput, outcome: PauseOutcome): Promise<PhaseOutcome> {
  const { context, timeline, target } = input;
  const pauseMs = Math.round(timeline.elapsed());
  const frozen = await compareFrozen(input, outcome);
  const refreshed = await refreshMaterializedViews(input);
  const stillFenced = await removeFence(target);
  const result = {
    pauseMs,
    steps: timeline.steps,
    fence: outcome.fence,
    drainedKeys: outcome.drainedKeys,
    sequences: outcome.sequences,
    switched: outcome.switched,
    freeze: frozen,
    materializedViews: refreshed,
    openFenceLeft: stillFenced,
  };
  await context.state.setFact('cutover.result', result);
  if (frozen && (frozen.rowsDifferent > 0 || !frozen.complete)) {
    throw new Failure(
      `writes are open on the target, but ${frozen.rowsDifferent} rows differ from the source as it was in the pause${frozen.complete ? '' : ' and not every relation could be compared'}; see the report before anything else`,
    );
  }
  const compared = frozen
    ? `, ${frozen.rowsCompared.toLocaleString('en-US')} rows compared at the freeze, 0 different`
    : '';
  return { message: `the target takes writes; ${outcome.switched}; write pause ${pauseMs} ms${compared}`, result };
}

async function compareFrozen({ context, relations }: PauseInput, { held }: PauseOutcome): Promise<Frozen | undefined> {
  if (!held) return undefined;
  context.progress.restart();
  const expected = relations.reduce((sum, relation) => sum + relation.rows, 0);
  const comparison = await held.compare(relations, ({ rows, relation }) =>
    context.progress.report(rows, Math.max(rows, Math.round(expected)), 'rows', `comparing ${relation}`),
  );
  const { rowsCompared, rowsDifferent, seconds, examples, notCompared, ok } = comparison;
  const frozen = { rowsCompared, rowsDifferent, seconds, examples, notCompared, complete: notCompared.length === 0 };
  await context.evidence('every row equal at the freeze', ok, 'compareAll', frozen);
  return frozen;
}

/** What the comparison at the freeze found. */
interface Frozen {
  readonly rowsCompared: number;
  readonly rowsDifferent: number;
  readonly seconds: number;
  readonly complete: boolean;
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
