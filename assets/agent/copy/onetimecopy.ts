import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { configureBucardo } from '../bucardo/configure';
import {
  bucardoProcesses,
  killBucardo,
  lastWords,
  setSyncStatus,
  startBucardo,
  syncProcesses,
} from '../bucardo/daemon';
import { admitBucardo, endSourceSessions, expelBucardo } from '../bucardo/login';
import { BUCARDO_DATABASE, SYNC } from '../bucardo/names';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { connectToHost } from '../connect';
import { holdProcesses } from '../dump/hold';
import { Failure, oneLine } from '../errors';
import { Lease } from '../lease';
import { inTransaction } from '../schema/tried';
import { sql } from '../sql';
import { Kicks } from '../sync/kicks';
import { takeUncopied, type CopyWork } from './drive';
import { requireForOnetimecopy } from './onetimecopy-limits';
import { beginPlans } from './target-plan';

/** Fact, in the state, that Bucardo has been let in to copy, and may be at it still. */
const UNDER_WAY_FACT = 'copy.onetimecopy';

/** How often Bucardo's account is read; milliseconds. */
const LOOK_MS = 200;

/** How often its first run is asked for, until it has begun; milliseconds. */
const KICK_MS = 500;

/** How long none of its processes may be at the copy; milliseconds. */
const NOBODY_MS = 30_000;

const WAY_ON = 'start copy again, it begins anew, or set agent.copy.method "stream"';

/** Steering sessions on both ends. */
type Ends = Pick<CopyWork, 'source' | 'target'>;

/**
 * Has Bucardo copy relations by itself: all of them in one transaction on each end, each emptied and filled by its COPY.
 * The queues of changes stay as they are, for catch-up. Meanwhile the relations are leased to Bucardo; what an attempt
 * that broke off has left is removed, so it may be repeated at any point. Throws Failure when it does not succeed.
 */
export async function copyByBucardo(context: Context, work: CopyWork): Promise<string[]> {
  const { source, target, indexes } = work;
  const { host } = context.config;
  await requireForOnetimecopy(context.config, source, work.relations);
  await context.brake.clear();
  await shutOut(context, { source, target });
  const { lease, relations } = await takeUncopied(work);
  if (relations.length === 0) return [];
  await empty(target, lease, relations);
  await context.state.setFact(UNDER_WAY_FACT, true);
  await Lease.take(target, 'bucardo', relations);
  try {
    const endpoint = await admitBucardo(context, target, relations);
    await configureBucardo(context, [{ name: SYNC, relations }], endpoint, { onetimecopy: true });
    await setSyncStatus(host, 'active');
    await startBucardo(host, [SYNC], relations.length);
    await arrive(context, target, relations);
  } catch (error) {
    // A server that is gone has cut these sessions too; the next run shuts out whatever is left.
    await shutOut(context, { source, target }).catch((other: unknown) =>
      context.log.warn({ err: other }, 'Bucardo is not shut out'),
    );
    throw new Failure(`Bucardo has not copied the rows: ${oneLine(error)}; ${WAY_ON}`, { cause: error });
  }
  await shutOut(context, { source, target });
  await context.state.setFact(UNDER_WAY_FACT, false);
  await forgetRuns(context);
  await end(target, await Lease.take(target, 'copy', relations), relations);
  for (const relation of relations) indexes.add(relation);
  return [];
}

/**
 * Ends a onetimecopy whose phase was killed: Bucardo goes on by itself, and would empty what others have copied since. To
 * be called by every way of copying before it writes.
 */
export async function endLeftCopy(context: Context, ends: Ends): Promise<void> {
  if (!(await context.state.fact<boolean>(UNDER_WAY_FACT))) return;
  await shutOut(context, ends);
  await context.state.setFact(UNDER_WAY_FACT, false);
}

async function shutOut({ config: { host } }: Context, { source, target }: Ends): Promise<void> {
  await killBucardo(host);
  await expelBucardo(target);
  await endSourceSessions(source);
}

/** Notes the attempt, too, so that the rows of one that broke off are not taken for somebody else's. */
async function empty(target: Client, lease: Lease, relations: readonly Relation[]): Promise<void> {
  await inTransaction(target, async () => {
    await target.query(`SET LOCAL session_replication_role = 'replica'`);
    await lease.holdAll(target, relations);
    for (const relation of relations) await target.query(`TRUNCATE ONLY ${relation.sql}`);
    await beginPlans(
      target,
      relations.map((relation) => ({ relation, plan: randomUUID() })),
    );
  });
}

async function end(target: Client, lease: Lease, relations: readonly Relation[]): Promise<void> {
  await inTransaction(target, async () => {
    await lease.holdAll(target, relations);
    for (const relation of relations) {
      await target.query(
        sql`
          UPDATE ibex.relation SET copied_at = clock_timestamp(), copied_rows = (SELECT count(*) FROM ONLY ${relation.sql})
          WHERE schema_name = $1 AND relation_name = $2`,
        [relation.schema, relation.name],
      );
    }
  });
}

/** Rows of the copy are counted as such, and not once more as changes that Bucardo has applied. */
async function forgetRuns({ config: { host } }: Context): Promise<void> {
  const client = await connectToHost(host, BUCARDO_DATABASE);
  try {
    await client.query('DELETE FROM bucardo.syncrun WHERE sync = $1', [SYNC]);
  } finally {
    await client.end();
  }
}

/** What Bucardo says of the copy. It takes the mark `onetimecopy` off its sync once the target has committed. */
const ACCOUNT = sql`
  SELECT s.onetimecopy = 0 AS done, EXISTS (SELECT FROM bucardo.syncrun r WHERE r.sync = s.name AND r.started > s.cdate) AS begun,
    (SELECT status FROM bucardo.syncrun r WHERE r.sync = s.name AND r.started > s.cdate AND r.lastbad LIMIT 1) AS failed
  FROM bucardo.sync s WHERE s.name = $1`;

/** Waits until every row is committed on the target. Throws Failure with Bucardo's words when that does not come. */
async function arrive(context: Context, target: Client, relations: readonly Relation[]): Promise<void> {
  const { host } = context.config;
  const total = relations.reduce((sum, relation) => sum + relation.bytes, 0);
  const client = await connectToHost(host, BUCARDO_DATABASE);
  const hold = holdProcesses(context, { phase: 'copy', sessions: 'bucardo', listed: () => bucardoProcesses(host) });
  let kicks: Kicks | undefined = new Kicks(context.config, KICK_MS);
  let seen = performance.now();
  context.progress.restart();
  try {
    for (;;) {
      const { rows } = await client.query(ACCOUNT, [SYNC]);
      const { done, begun, failed } = rows[0] as { done: boolean; begun: boolean; failed: string | null };
      if (done) return;
      context.brake.throwIfOff();
      if (hold.failure) throw hold.failure;
      if (failed !== null) throw new Failure(failed);
      if (begun) {
        // A second run would be one of the sync, and has no keys to find rows by.
        await kicks?.close();
        kicks = undefined;
      }
      const now = performance.now();
      if (syncProcesses(host, SYNC).kid.length > 0) seen = now;
      if (now - seen > NOBODY_MS) throw new Failure(`none of its processes is at it: ${lastWords(host)}`);
      context.progress.report(Math.min(await bytesOf(target, relations), total), total, 'bytes', 'by Bucardo');
      await sleep(LOOK_MS);
    }
  } finally {
    hold.end();
    await kicks?.close();
    await client.end();
  }
}

async function bytesOf(target: Client, relations: readonly Relation[]): Promise<number> {
  const { rows } = await target.query(
    'SELECT coalesce(sum(pg_table_size(to_regclass(name))), 0)::float8 AS bytes FROM unnest($1::text[]) AS s (name)',
    [relations.map((relation) => relation.sql)],
  );
  return (rows[0] as { bytes: number }).bytes;
}
