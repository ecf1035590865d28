import type { Client } from 'pg';
import { takenOff } from '../brake/capture-off';
import { readQueueBytes } from '../brake/queue-size';
import { judge } from '../brake/readings';
import { leftToTakeOff, tryTakeCaptureOff } from '../brake/take-off';
import { CAPTURED_FACT, type Captured } from '../capture/check';
import { mendQueues } from '../capture/mend-queues';
import { CAPTURE_SCHEMA } from '../capture/names';
import { readRelations } from '../catalog/relations';
import { hasSchema } from '../catalog/schemas';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import { tryClaimMove } from '../cutover/claim';
import { readFenceState } from '../fence/objects';
import { heldDirection, SUPERVISOR, unwantSync } from './supervisor-job';

/** How a look at the queues waits for tables whose triggers it takes off: for less time than a claim of the move is waited for. */
const GUARD_LIMITS = { attempts: 2, withinMs: 2_000 };

/**
 * Without a sync, between the phases or after one that failed, changes pile up as well, and keys change: the hard limit
 * holds then, too, at the end that serves; a removal of capture that was killed is finished, and queues are mended.
 */
export async function guardQueues(config: AgentConfig): Promise<void> {
  // Either of them may serve, as when a move of writes, finalize or cleanup has died, and the other one be away: one after the
  // other, so that no claim is held while the other one is waited for.
  const looks = [await lookAt(config, guardEnd), await lookAt(config, guardTarget)];
  for (const look of looks) if (look !== undefined) throw look;
}

/** Returns what went wrong. */
async function lookAt(config: AgentConfig, guard: (context: Context) => Promise<void>): Promise<unknown> {
  try {
    const context = await Context.create(config, SUPERVISOR);
    await guard(context).finally(() => context.close());
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * Guards the target where it is we who capture it: by what we remember or, where the host's memory is lost, by the source that
 * waits for its turn. A schema of that name may be somebody else's.
 */
async function guardTarget(context: Context): Promise<void> {
  const back = context.turned();
  const captured = Object.keys((await back.state.fact<Captured>(CAPTURED_FACT)) ?? {}).length > 0;
  const waits = async (source: Client): Promise<boolean> => (await readFenceState(source))?.kind === 'closed';
  if (captured || heldDirection(context.config) === 'back' || (await context.with('source', waits))) {
    await guardEnd(back);
  }
}

/** Guards the queues of the context's source while that takes writes. */
async function guardEnd(context: Context): Promise<void> {
  const { config, direction } = context;
  // A cutover applies every change before it ends, and needs them all until then, also one that died in its pause.
  const source = await context.connect('source');
  const isStopped = async (): Promise<boolean> => ((await readFenceState(source))?.kind ?? 'open') !== 'open';
  if (await isStopped()) return;
  if (!(await hasSchema(source, CAPTURE_SCHEMA))) return unwantHeld(context);
  const queueBytes = await readQueueBytes(source);
  const { pace, reason } = judge(
    { active: 0, lockWaits: [], hostFreeBytes: Infinity, queueGrowth: 0, queueBytes },
    config.brake,
    direction,
  );
  // No sooner, since whoever moves writes is refused meanwhile; and one may have begun to.
  if (!(await tryClaimMove(context)) || (await isStopped())) return;
  const left = await leftToTakeOff(context, source);
  // For seconds: while a table is busy for hours, who has claimed the move keeps cleanup out. The next look goes on.
  if (left !== undefined || pace === 'off') await tryTakeCaptureOff(context, source, left ?? reason, GUARD_LIMITS);
  else await mendQueues(context, source, await readRelations(source, config));
  await unwantHeld(context);
}

/** Of a direction whose capture was taken off nothing is left that could go on. */
async function unwantHeld({ config, direction, state }: Context): Promise<void> {
  if (heldDirection(config) === direction && (await takenOff(state)) !== undefined) unwantSync(config);
}
