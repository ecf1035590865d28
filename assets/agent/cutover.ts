import { readRelations } from './catalog/relations';
import { CatchUp } from './catch-up/rounds';
import type { Context } from './context';
import { afterOpen } from './cutover/after-open';
import { passGates } from './cutover/gates';
import { afterNoReturn, pauseWrites, type PauseInput, type PauseOutcome } from './cutover/pause';
import { forwardSequences } from './cutover/sequences';
import { switchClients } from './cutover/switch';
import { Timeline } from './cutover/timeline';
import { Failure, oneLine } from './errors';
import { isPastNoReturn, openSource } from './fence';
import { readFenceState } from './fence/objects';
import type { Phase, PhaseOutcome } from './phase';
import { takeOver, type Ends } from './sync/applier';
import { startSupervisor, stopSupervisor } from './sync/supervisor-job';
import { openSnapshotHolders } from './verify/held-snapshots';

/** Changes that may be left when writes are stopped; each costs the pause some microseconds. */
const NEAR = 500;

async function run(context: Context): Promise<PhaseOutcome> {
  const source = await context.connect('source');
  const target = await context.connect('target');
  // A fence without a deadline is one that passed the point of no return; an earlier run ended after it.
  return (await isPastNoReturn(source)) ? goForward(context, { source, target }) : cutOver(context, { source, target });
}

async function cutOver(context: Context, ends: Ends): Promise<PhaseOutcome> {
  // What an attempt that died left behind costs the clients every second, so it goes first.
  await openSource(ends.source);
  const relations = await readRelations(ends.source, context.config);
  await passGates(context, ends.source, ends.target, relations);
  await stopSupervisor(context.config);
  const lease = await takeOver(context, ends);
  const catchUp = new CatchUp(context, relations, lease);
  try {
    await catchUp.until(ends.source, NEAR);
    const holders = context.config.cutover.compareAtFreeze ? await openSnapshotHolders(context) : undefined;
    const timeline = new Timeline(context.config.cutover.budgetSeconds * 1000);
    const input: PauseInput = { context, ...ends, relations, catchUp, timeline, holders };
    const outcome = await attempt(input);
    return await afterOpen(input, outcome);
  } catch (error) {
    const final = await isPastNoReturn(ends.source).catch(() => true);
    if (!final) {
      await resumeSync(context);
    }
    throw error;
  }
}

/** Runs the pause and keeps its time line, whether it succeeds or gives writes back. */
async function attempt(input: PauseInput): Promise<PauseOutcome> {
  const { context, timeline } = input;
  let failure: string | undefined;
  try {
    return await pauseWrites(input);
  } catch (error) {
    failure = oneLine(error);
    await input.holders?.close();
    throw new Failure(`${failure} (write pause ${Math.round(timeline.elapsed())} ms)`, { cause: error });
  } finally {
    const result = { steps: timeline.steps, pauseMs: Math.round(timeline.elapsed()), failure };
    await context.state.setFact('cutover.timeline', result).catch(() => undefined);
    await context.evidence('write pause', failure === undefined, 'timeline', result).catch(() => undefined);
  }
}

/** Writes go on at the source, so replication must, too. */
async function resumeSync(context: Context): Promise<void> {
  await startSupervisor(context.config).catch((error: unknown) => {
    context.log.error({ err: error }, 'the sync did not come back; start its runbook');
  });
}

/** Finishes a cutover that was interrupted after the point of no return: never back, since the target may be open. */
async function goForward(context: Context, ends: Ends): Promise<PhaseOutcome> {
  const relations = await readRelations(ends.source, context.config);
  const timeline = new Timeline(0);
  const open = (await readFenceState(ends.target))?.kind === 'open';
  let drainedKeys = 0;
  let sequences = 0;
  await stopSupervisor(context.config);
  const lease = await takeOver(context, ends);
  const input: PauseInput = {
    context,
    ...ends,
    relations,
    catchUp: new CatchUp(context, relations, lease),
    timeline,
    holders: undefined,
  };
  if (!open) {
    sequences = await forwardSequences(ends.source, ends.target, context.config);
    drainedKeys = await afterNoReturn(input);
  }
  const switched = await switchClients(context.config.cutover.switch, 'target');
  return afterOpen(input, { fence: undefined, drainedKeys, sequences, switched, held: undefined });
}

/** Stops writes at the source for seconds and opens the target with everything. */
export const cutover: Phase = { name: 'cutover', after: ['sync', 'verify'], once: true, run };
