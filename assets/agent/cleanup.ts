import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { killBucardo } from './bucardo/daemon';
import { BUCARDO_DATABASE, BUCARDO_LOGIN } from './bucardo/names';
import { endSourceSessions, expelBucardo } from './bucardo/login';
import { appliedByBucardo, BUCARDO_ROWS_FACT } from './bucardo/runs';
import { CAPTURE_SCHEMA } from './capture/names';
import { reachEnds, type Reached } from './cleanup/ends';
import { keepOnlyFence } from './cleanup/fence';
import { dropCapture, ourTriggers } from './cleanup/source';
import { connectToHost } from './connect';
import type { Context } from './context';
import { claimMove } from './cutover/move';
import { Failure } from './errors';
import { openSource } from './fence';
import { ensureMigratorLogin, retireMigratorLogin } from './migrator-login';
import type { Phase, PhaseOutcome } from './phase';
import { ident } from './sql';
import { dropHeartbeats } from './sync/heartbeat';
import { stopSupervisor } from './sync/supervisor-job';

async function run(context: Context): Promise<PhaseOutcome> {
  // A login that cannot be made is told by its connection; the source is cleaned all the same.
  await ensureMigratorLogin(context).catch((error: unknown) => context.log.error({ err: error }, 'target login'));
  const { host } = context.config;
  await claimMove(context);
  const reached = await reachEnds(context);
  const { source, target, keepFence } = reached;
  await stopSupervisor(context.config);
  await killBucardo(host);
  const triggers = (source ? await cleanSource(context, source, keepFence) : 0) + (await cleanTarget(context, target));
  await context.state.setFact(BUCARDO_ROWS_FACT, (await appliedByBucardo(host)).rows);
  await dropBucardoDatabase(context);
  forgetPasswords(host.runDirectory);
  rmSync(join(host.stateDirectory, 'dump'), { recursive: true, force: true });

  const left = [...reached.untouched, ...(await leftovers(reached))];
  await context.evidence('nothing is left', left.length === 0, 'leftovers', left);
  if (left.length > 0)
    throw new Failure(`still there: ${left.join('; ')}${reached.untouched.length > 0 ? '' : '; start cleanup again'}`);
  await retireMigratorLogin(context);
  // What a new migration would find done, or refuse for, is gone. After a cutover the record is kept.
  const cutOver = (await context.state.phase('cutover'))?.status === 'succeeded';
  if (!cutOver && !keepFence) await context.state.startOver();
  const fence = keepFence ? '; the source stays fenced, so that no stray client writes there' : '';
  return {
    message: `${triggers} triggers and all objects of Ibex and Bucardo are gone from both ends${fence}`,
    result: { triggers },
  };
}

async function cleanSource(context: Context, source: Client, keepFence: boolean): Promise<number> {
  await endSourceSessions(source);
  const triggers = await dropCapture(context, source);
  await dropHeartbeats(source);
  if (keepFence) {
    await keepOnlyFence(source);
    return triggers;
  }
  await openSource(source);
  await dropCapture(context, source, 'ibex');
  return triggers;
}

async function cleanTarget(context: Context, target: Client | undefined): Promise<number> {
  if (!target) return 0;
  await expelBucardo(target);
  const triggers = await dropCapture(context, target);
  await dropCapture(context, target, 'ibex');
  await dropLogin(target);
  return triggers;
}

function forgetPasswords(runDirectory: string): void {
  for (const file of readdirSync(runDirectory)) {
    if (/(\.pgpass|_service\.conf|^bucardorc)$/.test(file)) rmSync(join(runDirectory, file));
  }
}

async function dropLogin(target: Client): Promise<void> {
  const known = await target.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  if (known.rowCount === 0) return;
  await target.query(`DROP OWNED BY ${ident(BUCARDO_LOGIN)}`);
  await target.query(`DROP ROLE ${ident(BUCARDO_LOGIN)}`);
}

async function dropBucardoDatabase(context: Context): Promise<void> {
  const host = await connectToHost(context.config.host, 'postgres');
  try {
    await host.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [BUCARDO_DATABASE]);
    await host.query(`DROP DATABASE IF EXISTS ${ident(BUCARDO_DATABASE)}`);
  } finally {
    await host.end();
  }
}

async function leftovers({ source, target, keepFence }: Reached): Promise<string[]> {
  const left: string[] = [];
  const look = async (client: Client, where: string, schemas: readonly string[]): Promise<void> => {
    for (const schema of schemas) {
      const found = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
      if (found.rowCount !== 0) left.push(`schema ${schema} on the ${where}`);
      for (const { trigger, table } of await ourTriggers(client, schema)) left.push(`trigger ${trigger} on ${table}`);
    }
    const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
    if (role.rowCount !== 0) left.push(`role ${BUCARDO_LOGIN} on the ${where}`);
  };
  if (source) await look(source, 'source', keepFence ? [CAPTURE_SCHEMA] : [CAPTURE_SCHEMA, 'ibex']);
  if (target) await look(target, 'target', [CAPTURE_SCHEMA, 'ibex']);
  return left;
}

/** Removes everything of ours from both ends, from whatever state the migration is in, and proves it. */
export const cleanup: Phase = { name: 'cleanup', after: [], once: false, run };
