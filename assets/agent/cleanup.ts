import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { killBucardo } from './bucardo/daemon';
import { BUCARDO_DATABASE, BUCARDO_LOGIN } from './bucardo/names';
import { endSourceSessions, expelBucardo } from './bucardo/login';
import { appliedByBucardo, BUCARDO_ROWS_FACT } from './bucardo/runs';
import { CAPTURE_SCHEMA } from './capture/names';
import { dropCapture, ourTriggers } from './cleanup/source';
import { connectToHost } from './connect';
import type { Context } from './context';
import { Failure } from './errors';
import { openSource } from './fence';
import { ensureMigratorLogin, retireMigratorLogin } from './migrator-login';
import type { Phase, PhaseOutcome } from './phase';
import { ident } from './sql';
import { dropHeartbeats } from './sync/heartbeat';
import { stopSupervisor } from './sync/supervisor-job';

async function run(context: Context): Promise<PhaseOutcome> {
  await ensureMigratorLogin(context);
  const source = await context.connect('source');
  const target = await context.connect('target');
  const cutOver = (await context.state.phase('cutover'))?.status === 'succeeded';
  await stopSupervisor(context.config);
  await killBucardo(context.config.host);
  await expelBucardo(target);
  await endSourceSessions(source);

  const triggers = await dropCapture(context, source);
  if (!cutOver) {
    const fence = await openSource(source);
    if (fence === 'final')
      throw new Failure(
        'the source is fenced for good by a cutover that did not end; start cutover again, it goes forward',
      );
    await dropCapture(context, source, 'ibex');
  }
  await dropHeartbeats(source);
  await dropCapture(context, target, 'ibex');
  await dropLogin(target);
  await context.state.setFact(BUCARDO_ROWS_FACT, (await appliedByBucardo(context.config.host)).rows);
  await dropBucardoDatabase(context);
  forgetPasswords(context.config.host.runDirectory);
  rmSync(join(context.config.host.stateDirectory, 'dump'), { recursive: true, force: true });

  const left = await leftovers(source, target, cutOver);
  await context.evidence('nothing is left', left.length === 0, 'leftovers', left);
  if (left.length > 0) throw new Failure(`still there: ${left.join('; ')}; start cleanup again`);
  await retireMigratorLogin(context);
  const fence = cutOver ? '; the source stays fenced, so that no stray client writes there' : '';
  return {
    message: `${triggers} triggers and all objects of Ibex and Bucardo are gone from both ends${fence}`,
    result: { triggers },
  };
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
    await host.query(`DROP DATABASE IF EXISTS ${ident(BUCARDO_DATABASE)}`);
  } finally {
    await host.end();
  }
}

async function leftovers(source: Client, target: Client, cutOver: boolean): Promise<string[]> {
  const left: string[] = [];
  const look = async (client: Client, where: string, schemas: readonly string[]): Promise<void> => {
    for (const schema of schemas) {
      const found = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
      if (found.rowCount !== 0) left.push(`schema ${schema} on the ${where}`);
      for (const { trigger, table } of await ourTriggers(client, schema)) left.push(`trigger ${trigger} on ${table}`);
    }
  };
  await look(source, 'source', cutOver ? [CAPTURE_SCHEMA] : [CAPTURE_SCHEMA, 'ibex']);
  await look(target, 'target', ['ibex']);
  const role = await target.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [BUCARDO_LOGIN]);
  if (role.rowCount !== 0) left.push(`role ${BUCARDO_LOGIN} on the target`);
  return left;
}

/** Removes everything of ours from both ends, from whatever state the migration is in, and proves it. */
export const cleanup: Phase = { name: 'cleanup', after: [], once: false, run };
