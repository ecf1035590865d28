import { takenOff } from '../brake/capture-off';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import { tryClaimMove, tryClaimSync } from '../cutover/claim';
import type { Direction } from '../endpoints';
import { Failure } from '../errors';
import { openSource } from '../fence/source';
import { standingOrUnknown } from '../fence/standing';
import { Jobs } from '../job';
import { heldDirection, wantHeldSync } from './supervisor-job';

/** Jobs that stop the sync. One whose session on the host broke has no claim any more, and goes on. */
const STOPPING = ['cutover', 'rollback', 'sync', 'add'];

/** The direction of the sync that was stopped by a run that is not alive. */
function leftOff(config: AgentConfig): Direction | undefined {
  const held = heldDirection(config);
  return held !== undefined && STOPPING.some((job) => new Jobs(config).isRunning(job)) ? undefined : held;
}

/**
 * Asks for the sync again where a run that had stopped it died before it moved the writes, as when the host lost its power:
 * the application writes on, and nobody would apply it. Does nothing while such a run is alive, or where one has to go
 * forward. For the supervisor, which then does the work. Throws what failed.
 */
export async function resumeUnasked(config: AgentConfig, phase: string): Promise<void> {
  if (leftOff(config) === undefined) return;
  const context = await Context.create(config, phase);
  try {
    // First without a claim, which keeps others out for as long as an end that is away is waited for.
    await context.with('source', () => context.with('target', () => Promise.resolve()));
    if (!(await tryClaimMove(context)) || !(await tryClaimSync(context))) return;
    // Asked again with the claims: whoever had them until now may have done it, or have moved the writes.
    const direction = leftOff(config);
    if (direction === undefined) return;
    const facing = direction === 'forward' ? context : context.turned();
    // Whoever looks after the queues ends that.
    if ((await takenOff(facing.state)) !== undefined) return;
    // From here on no attempt that is alive after all comes past its point of no return: its fence is gone.
    if ((await facing.with('source', openSource)) === 'final') return;
    const standing = await standingOrUnknown(context);
    if (standing.kind === 'unknown') throw new Failure(standing.why);
    if (standing.kind !== 'serves' || standing.end !== facing.real('source')) return;
    wantHeldSync(config);
    context.log.error({ direction }, 'nobody applied changes, since a run that had stopped the sync died; it goes on');
    await context.evidence('sync is asked for again', true, 'openSource, readStanding', { direction });
  } catch (error) {
    context.log.error({ err: error }, 'the sync, which a run had stopped that died, could not be asked for again');
    throw error;
  } finally {
    await context.close();
  }
}
