import type { Client } from 'pg';
import { configureBucardo } from '../bucardo/configure';
import { killBucardo, setSyncStatus, startBucardo } from '../bucardo/daemon';
import { refusal, takenOff } from '../brake/capture-off';
import { takeCaptureOff } from '../brake/take-off';
import { admitBucardo, endSourceSessions, expelBucardo } from '../bucardo/login';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure } from '../errors';
import { Lease } from '../lease';
import { prepareHeartbeats } from './heartbeat';
import { asPlan, PLAN_FACT, planSyncs, type Plan } from './plan';
import { SETTINGS_FACT, settingsOf } from './settings';
import { syncedRelations } from './synced';

/** Sessions for steering, beside those that move rows. */
export interface Ends {
  readonly source: Client;
  readonly target: Client;
}

/**
 * Makes catch-up the only applier: Bucardo inactive, its processes killed, its login shut, its sessions ended on both
 * ends and seen to be gone, and then a new generation, so that nothing of yesterday can write any more.
 */
export async function takeOver(context: Context, ends: Ends): Promise<Lease> {
  await shutOut(context, ends);
  return takeLease(context, ends);
}

/**
 * The same for what is synced alone, and returns that, too, as it is now: a table that `add` copies meanwhile stays under
 * its lease, whose transactions may take as long as the copy.
 */
export async function takeOverSynced(context: Context, ends: Ends): Promise<{ lease: Lease; relations: Relation[] }> {
  await shutOut(context, ends);
  const relations = await syncedRelations(context, ends);
  if (relations.length === 0) throw new Failure('no table can be applied: the triggers of none stand');
  return { lease: await takeLease(context, ends, relations), relations };
}

async function takeLease(context: Context, ends: Ends, relations?: readonly Relation[]): Promise<Lease> {
  const lease = await Lease.take(ends.target, 'catch-up', relations);
  context.log.info({ generation: lease.generation }, 'catch-up is the applier');
  return lease;
}

async function shutOut({ config: { host } }: Context, ends: Ends): Promise<void> {
  await setSyncStatus(host, 'inactive').catch(() => undefined);
  await killBucardo(host);
  await expelBucardo(ends.target);
  await endSourceSessions(ends.source);
}

/**
 * Makes Bucardo the only applier of these relations, configured anew from them as they are now, in as many syncs as the
 * settings ask for. Returns the names of the relations of each sync. Throws Failure when capture was taken off.
 */
export async function handOver(context: Context, ends: Ends, relations: readonly Relation[]): Promise<Plan> {
  const before = await takenOff(context.state);
  if (before !== undefined) throw refusal(before);
  try {
    return await configureAndStart(context, ends, relations);
  } finally {
    // Bucardo makes triggers of its own wherever it finds none, also of what the brake has taken off meanwhile.
    const off = await takenOff(context.state);
    if (off !== undefined) await takeCaptureOff(context, ends.source, off);
  }
}

async function configureAndStart(context: Context, ends: Ends, relations: readonly Relation[]): Promise<Plan> {
  await killBucardo(context.config.host);
  await expelBucardo(ends.target);
  await endSourceSessions(ends.source);
  const lease = await Lease.take(ends.target, 'bucardo', relations);
  const planned = await planSyncs(context, ends, relations);
  const names = planned.map(({ name }) => name);
  const heartbeats = await prepareHeartbeats(ends, names);
  const target = await admitBucardo(context, ends.target, [...relations, ...heartbeats]);
  const syncs = planned.map((sync, index) => ({
    ...sync,
    relations: [...sync.relations, ...heartbeats.slice(index, index + 1)],
  }));
  const settings = await settingsOf(context, ends.source, relations);
  await configureBucardo(context, syncs, target);
  await context.state.setFact(SETTINGS_FACT, settings);
  await context.state.setFact(PLAN_FACT, asPlan(planned));
  await setSyncStatus(context.config.host, 'active');
  await startBucardo(context.config.host, names, relations.length);
  context.log.info({ generation: lease.generation, syncs: asPlan(planned) }, 'Bucardo is the applier');
  return asPlan(planned);
}
