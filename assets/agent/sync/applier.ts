import type { Client } from 'pg';
import { configureBucardo } from '../bucardo/configure';
import { killBucardo, setSyncStatus, startBucardo } from '../bucardo/daemon';
import { admitBucardo, endSourceSessions, expelBucardo } from '../bucardo/login';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Lease } from '../lease';

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

/** Makes Bucardo the only applier, configured anew from the relations as they are now. */
export async function handOver(context: Context, ends: Ends, relations: readonly Relation[]): Promise<void> {
  await killBucardo(context.config.host);
  await expelBucardo(ends.target);
  await endSourceSessions(ends.source);
  const lease = await Lease.take(ends.target, 'bucardo');
  const target = await admitBucardo(context, ends.target, relations);
  await configureBucardo(context, relations, target);
  await setSyncStatus(context.config.host, 'active');
  await startBucardo(context.config.host);
  context.log.info({ generation: lease.generation }, 'Bucardo is the applier');
}
