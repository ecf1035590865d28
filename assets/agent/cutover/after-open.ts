import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { letWait } from '../fence/turn';
import { removeFence } from '../fence/triggers';
import { Jobs } from '../job';
import type { PhaseOutcome } from '../phase';
import { requireDone, type Finished } from '../switch/switches';
import { turnIdentity } from '../sync/identity';
import { startSupervisor, unwantSync } from '../sync/supervisor-job';
import { OPENED_FACT } from '../watch/record';
import { endedKinds, type ClientsSaw } from './clients-saw';
import type { PauseInput, PauseOutcome } from './pause';
import { describeProof, keepProof } from './prove-rows';
import { refreshViews, type Refreshed } from './refresh-views';

/** Fact that the end that took over is open, and that not all of what follows is done. */
export const UNFINISHED_FACT = 'cutover.unfinished';

/** Whether a run of this direction has opened the other end and was cut short after that. */
export const isUnfinished = async ({ state }: Context): Promise<boolean> =>
  (await state.fact(UNFINISHED_FACT)) === true;

/** Fact of the comparison at the freeze. */
export const FREEZE_FACT = 'cutover.freeze';

/**
 * What follows once the target takes writes, and no client waits for: compare both ends as they stood in the pause,
 * refresh materialized views, take the open fence off the target's tables.
 */
export async function afterOpen(input: PauseInput, outcome: PauseOutcome): Promise<PhaseOutcome> {
  const { context, timeline, target, switches } = input;
  const pauseMs = Math.round(timeline.elapsed());
  const finishing = Promise.all([switches.finish(context.real('target')), input.readers.arrive()]).then((all) =>
    all.flat(),
  );
  const clientsSaw = tellOfClients(input, finishing).catch(() => undefined);
  const { fedBack, unfed } = await feedTheOther(input, outcome.fence !== undefined);
  const proof = await keepProof(context);
  const frozen = await compareFrozen(input, outcome);
  const views = await refreshed(input);
  const stillFenced = await removeFence(target);
  const finished = await finishing;
  const result = {
    pauseMs,
    steps: timeline.steps,
    fence: outcome.fence,
    drainedKeys: outcome.drainedKeys,
    proof,
    sequences: outcome.sequences,
    switched: outcome.switched,
    clients: [...outcome.released, ...finished],
    clientsSaw: await clientsSaw,
    fedBack,
    freeze: frozen,
    materializedViews: views,
    openFenceLeft: stillFenced,
  };
  await context.state.setFact('cutover.result', result);
  const wholeRun = result.clients.every(({ problem }) => problem === undefined);
  await context.state.setFact(UNFINISHED_FACT, !wholeRun || unfed !== undefined);
  if (frozen) refuseDifference(input, frozen, outcome.held !== undefined);
  requireDone(result.clients, `writes are open: start ${context.phase} again, which moves the clients once more`);
  return {
    message: `the ${context.real('target')} takes writes; ${outcome.switched}; write pause ${pauseMs} ms${describeProof(proof)}${describe(frozen)}${unfed ?? ''}`,
    result,
  };
}

/** As soon as the switches have ended the sessions that they end: the comparison may take hours. */
async function tellOfClients(
  { context, clients, timeline }: PauseInput,
  finishing: Promise<readonly Finished[]>,
): Promise<ClientsSaw> {
  const finished = await finishing;
  if (clients) return clients.told(finished, timeline);
  return {
    kinds: endedKinds(finished, context.real('source')),
    unknown: ['how long they waited, and what was refused: an earlier run stopped the writes'],
  };
}

/**
 * From now on the end that was left is fed, so that writes can be moved back to it. Before the comparison, which may take
 * hours, and safe to repeat. Returns what to tell where that could not be begun.
 */
async function feedTheOther(
  { context, source, target }: PauseInput,
  fenced: boolean,
): Promise<{ readonly fedBack: boolean; readonly unfed?: string }> {
  const forward = context.direction === 'forward';
  // The runbook migrate goes by them. First of all, since a run that ends before this is finished by another one.
  if (!forward) new Jobs(context.config).forget((job) => job === 'cutover' || job === 'watch');
  // A run that finishes an earlier one begins no other watch, and keeps what that has seen.
  const isFirst = fenced || !(await isUnfinished(context));
  if (isFirst && forward) await context.state.setFact(OPENED_FACT, new Date().toISOString());
  // What was known of the ends before the cutover says nothing: until now they were watched the other way round.
  if (isFirst && !forward) await turnIdentity(context);
  await context.state.setFact(UNFINISHED_FACT, true);
  if (forward && context.config.cutover.wayBack === 'none') {
    unwantSync(context.config);
    return { fedBack: false };
  }
  await letWait(source, target);
  try {
    await startSupervisor(context.config, forward ? 'back' : 'forward');
    return { fedBack: true };
  } catch (error) {
    const unfed = `; the ${context.real('source')} is NOT fed: ${oneLine(error)}; mend that, and start ${context.phase} again`;
    context.log.error({ err: error }, unfed.slice(2));
    return { fedBack: false, unfed };
  }
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
function refuseDifference({ context }: PauseInput, frozen: Frozen, tried: boolean): void {
  const [left, serves] = [context.real('source'), context.real('target')];
  const missing = frozen.notCompared.map(({ relation, cause }) => `${relation} (${cause})`).join(', ');
  if (frozen.rowsDifferent > 0) {
    throw new Failure(
      `writes are open on the ${serves}, but ${frozen.rowsDifferent} rows differ from the ${left} as it was in the pause; see the report before anything else`,
    );
  }
  if (tried && missing !== '') {
    throw new Failure(
      `writes are open on the ${serves}, and these could not be compared as they were in the pause: ${missing}; start ${context.phase} again to go on without`,
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
async function refreshed({ context, source, target }: PauseInput): Promise<Refreshed | string> {
  try {
    const result = await refreshViews(source, target, context.config);
    if (result.left.length > 0) context.log.warn(result, 'materialized views not refreshed');
    return result;
  } catch (error) {
    context.log.warn({ err: error }, 'materialized views not refreshed');
    return oneLine(error);
  }
}
