import { readRelations } from '../catalog/relations';
import { withQueue } from '../catch-up/backlog';
import { CatchUp } from '../catch-up/rounds';
import type { Context } from '../context';
import { afterOpen, FREEZE_FACT, UNFINISHED_FACT } from './after-open';
import { ClientWatch } from './client-watch';
import { approach } from './approach';
import { claimMove, requireNoSync } from './claim';
import { passGates } from './gates';
import { leadHome, setLed } from './home';
import { PROOF_FACT } from './prove-rows';
import { afterNoReturn, letGo, pauseWrites, type PauseInput, type PauseOutcome } from './pause';
import { Readers } from './readers';
import { forwardSequences } from './sequences';
import { Timeline } from './timeline';
import { armWayBack } from './way-back';
import { Failure, oneLine } from '../errors';
import { isPastNoReturn, openSource } from '../fence/source';
import { letWait } from '../fence/turn';
import { readFenceState } from '../fence/objects';
import type { PhaseOutcome } from '../phase';
import { takeOver, type Ends } from '../sync/applier';
import { watchIdentity } from '../sync/identity';
import { recopyUnlogged } from '../sync/unlogged';
import { makeSwitches } from '../switch/make';
import type { Switches } from '../switch/switches';
import { readTables } from '../sync/catalog-watch';
import { holdSupervisor, startSupervisor } from '../sync/supervisor-job';
import { LastKeys } from '../verify/dirty/last-keys';
import { openSnapshotHolders } from '../verify/held-snapshots';

/**
 * Moves the writes from the context's source to its target: gates, pause, and what follows once the target is open. Or
 * finishes what an earlier run began, when that passed its point of no return.
 */
export async function moveWrites(context: Context, goesOn: boolean): Promise<PhaseOutcome> {
  await claimMove(context);
  const ends: Ends = { source: await context.connect('source'), target: await context.connect('target') };
  const switches = makeSwitches(context);
  const readers = Readers.of(context);
  try {
    return await (goesOn ? goForward : cutOver)(context, ends, switches, readers);
  } finally {
    switches.close();
    readers.close();
  }
}

async function cutOver(context: Context, ends: Ends, switches: Switches, readers: Readers): Promise<PhaseOutcome> {
  // What an attempt that died left behind costs the clients every second, so it goes first.
  await openSource(ends.source);
  await switches.release(context.real('source'));
  await leadHome(context, 'clients', switches);
  await readers.home();
  if (context.direction === 'forward') await requireNoSync(context);
  // An earlier move of writes the other way left the end that takes over now.
  await letWait(ends.target, ends.source);
  await context.state.setFact(FREEZE_FACT, null);
  await context.state.setFact(PROOF_FACT, null);
  // What an earlier move this way has left undone is no part of this one.
  await context.state.setFact(UNFINISHED_FACT, false);
  // Before the relations are read and the gates look, so that what is altered later shows in the pause.
  const tables = await readTables(context, ends.source);
  const relations = await readRelations(ends.source, context.config);
  if (context.direction === 'forward') await armWayBack(context, ends);
  await passGates(context, ends.source, ends.target, relations, switches);
  let lastKeys: LastKeys | undefined;
  try {
    await holdSupervisor(context.config);
    const catchUp = new CatchUp(context, relations, await takeOver(context, ends));
    lastKeys = await LastKeys.open(context);
    const holders = context.config.cutover.compareAtFreeze ? await openSnapshotHolders(context) : undefined;
    await approach(context, ends.source, catchUp);
    if (await readers.lead(ends.source, relations)) {
      // Changes came while the readers moved.
      await approach(context, ends.source, catchUp);
      await readers.stayWhileNear(ends.source, relations);
    }
    // Before a client is held: what a kill leaves is then looked for.
    if (switches.any) await setLed(context, 'clients', true);
    const clients = await ClientWatch.open(context, switches);
    const timeline = new Timeline(context.config.cutover.budgetSeconds * 1000);
    const input: PauseInput = {
      context,
      ...ends,
      relations,
      tables,
      catchUp,
      timeline,
      switches,
      readers,
      holders,
      clients,
      lastKeys,
    };
    const outcome = await attempt(input);
    await setLed(context, 'clients', false);
    return await afterOpen(input, outcome);
  } catch (error) {
    // A session that broke is no reason to leave the sync off.
    const final = await isPastNoReturn(ends.source)
      .catch(() => context.with('source', isPastNoReturn))
      .catch(() => true);
    if (!final) {
      await readers.back();
      await resumeSync(context);
    }
    throw error;
  } finally {
    await lastKeys?.close();
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
    const pauseMs = Math.round(timeline.elapsed());
    // After a success more becomes known: what follows the opening tells.
    const clientsSaw = failure === undefined ? undefined : await input.clients?.told([], timeline);
    const result = { steps: timeline.steps, pauseMs, failure, clientsSaw };
    await context.state.setFact('cutover.timeline', result).catch(() => undefined);
    await context.evidence('write pause', failure === undefined, 'timeline', result).catch(() => undefined);
  }
}

/** Writes go on at the source, so replication must, too. */
async function resumeSync(context: Context): Promise<void> {
  await startSupervisor(context.config, context.direction).catch((error: unknown) => {
    context.log.error({ err: error }, 'the sync did not come back; start its runbook');
  });
}

/** Finishes a cutover that was interrupted after the point of no return: never back, since the target may be open. */
async function goForward(context: Context, ends: Ends, switches: Switches, readers: Readers): Promise<PhaseOutcome> {
  const all = await readRelations(ends.source, context.config);
  const relations = await withQueue(ends.source, all);
  const late = all.filter((relation) => !relations.includes(relation)).map((relation) => relation.sql);
  const timeline = new Timeline(0);
  // Anything but a closed end may have writes of its own, which no sequence may be set back under.
  const open = (await readFenceState(ends.target))?.kind !== 'closed';
  let drainedKeys = 0;
  let sequences = 0;
  await holdSupervisor(context.config);
  const lease = await takeOver(context, ends);
  const input: PauseInput = {
    context,
    ...ends,
    relations,
    tables: {},
    catchUp: new CatchUp(context, relations, lease),
    timeline,
    switches,
    readers,
    holders: undefined,
    clients: undefined,
    lastKeys: undefined,
  };
  if (!open) {
    // What a crash of the source has emptied meanwhile is copied anew once that is fed, by when the crash is known already.
    const turned: Ends = { source: ends.target, target: ends.source };
    await watchIdentity(context, ends.source, 'source', () => recopyUnlogged(context.turned(), turned));
    // What one of the target has emptied is brought by the last drain.
    await watchIdentity(context, ends.target, 'target', () => recopyUnlogged(context, ends));
    sequences = await forwardSequences(ends.source, ends.target, context.config, 'leave');
    drainedKeys = await afterNoReturn(input);
  }
  const switched = await switches.move(context.real('target'), () => Infinity);
  const released = await letGo(input);
  await setLed(context, 'clients', false);
  const outcome = await afterOpen(input, {
    fence: undefined,
    drainedKeys,
    proof: undefined,
    sequences,
    switched,
    released,
    held: undefined,
  });
  if (late.length === 0) return outcome;
  // Nothing captures them, and the fence lets them be made: with both ends shut they must not keep the other one from opening.
  const left = `NOT moved, since made on the ${context.real('source')} after its writes were stopped: ${late.join(', ')}`;
  context.log.warn({ late }, left);
  await context.evidence('every table is moved', false, 'withQueue', { late });
  return { ...outcome, message: `${outcome.message}; ${left}; make them on the ${context.real('target')} by hand` };
}
