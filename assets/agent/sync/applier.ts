import type { Client } from 'pg';
import { configureBucardo } from '../bucardo/configure';
import { killBucardo, setSyncStatus, startBucardo } from '../bucardo/daemon';
import { admitBucardo, endSourceSessions, expelBucardo } from '../bucardo/login';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Lease } from '../lease';
import { prepareHeartbeats } from './heartbeat';
import { asPlan, PLAN_FACT, planSyncs, type Plan } from './plan';

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
  await setSyncStatus(context.config.host, 'inactive').catch(() => undefined);
  await killBucardo(context.config.host);
  await expelBucardo(ends.target);
  await endSourceSessions(ends.source);
  const lease = await Lease.take(ends.target, 'catch-up');
  context.log.info({ generation: lease.generation }, 'catch-up is the applier');
  return lease;
}

/**
 * Makes Bucardo the only applier, configured anew from the relations as they are now, in as many syncs as the settings
 * ask for. Returns the names of the relations of each sync.
 */
export async function handOver(context: Context, ends: Ends, relations: readonly Relation[]): Promise<Plan> {
  await killBucardo(context.config.host);
  await expelBucardo(ends.target);
  await endSourceSessions(ends.source);
  const lease = await Lease.take(ends.target, 'bucardo');
  const planned = await planSyncs(context, ends, relations);
  const names = planned.map(({ name }) => name);
  const heartbeats = await prepareHeartbeats(ends, names);
  const target = await admitBucardo(context, ends.target, [...relations, ...heartbeats]);
  const syncs = planned.map((sync, index) => ({
    ...sync,
    relations: [...sync.relations, ...heartbeats.slice(index, index + 1)],
  }));
  await configureBucardo(context, syncs, target);
  await context.state.setFact(PLAN_FACT, asPlan(planned));
  await setSyncStatus(context.config.host, 'active');
  await startBucardo(context.config.host, names);
  context.log.info({ generation: lease.generation, syncs: asPlan(planned) }, 'Bucardo is the applier');
  return asPlan(planned);
}
