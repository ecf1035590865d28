import { setTimeout as sleep } from 'node:timers/promises';
import { bucardoRuns, lastWords } from '../bucardo/daemon';
import { purgeApplied, readLag, truncatedRelations } from '../bucardo/queues';
import { connectToHost } from '../connect';
import { BUCARDO_DATABASE, SYNC } from '../bucardo/names';
import { inspectCapture } from '../capture/check';
import { readRelations, type Relation } from '../catalog/relations';
import { CatchUp } from '../catch-up/rounds';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { Jobs } from '../job';
import { handOver, takeOver, type Ends } from './applier';
import { isSyncWanted, SUPERVISOR } from './supervisor-job';

/** Fact, in the state, of what is wrong with the sync; verify and cutover refuse while it stands. */
export const PROBLEM_FACT = 'sync.problem';

/** Fact of what keeps the supervisor from doing its work, and since when; null while it does it. */
export const TROUBLE_FACT = 'sync.trouble';

/** What the supervisor meets again and again. */
export interface Trouble {
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

const LOOK_EVERY_MS = 1_000;
const PURGE_EVERY_MS = 5_000;
const CHECK_CAPTURE_EVERY_MS = 10_000;

/** Without any finished run for so long, and none under way, Bucardo is called stuck; seconds. */
const STUCK_SECONDS = 60;

/** Pauses after a failure; milliseconds. */
const RETRY_MS = 1_000;

/**
 * Keeps the sync alive until it is killed: restarts Bucardo when it is dead or stuck, which by itself it never comes
 * back from, forgets what is applied, copies truncated relations anew, and looks whether capture is still in place.
 */
export async function supervise(config: AgentConfig): Promise<never> {
  new Jobs(config).begin(SUPERVISOR);
  for (;;) {
    // What goes wrong is in the log, and the next look mends it or meets it again.
    if (isSyncWanted(config)) await watch(config).catch(() => undefined);
    await sleep(RETRY_MS);
  }
}

async function watch(config: AgentConfig): Promise<void> {
  const context = await Context.create(config, SUPERVISOR);
  try {
    if (!(await context.state.claim(SUPERVISOR))) throw new Failure('the supervisor runs already in another process');
    const ends: Ends = { source: await context.connect('source'), target: await context.connect('target') };
    const relations = await readRelations(ends.source, config);
    const due = { purge: 0, capture: 0 };
    let troubled = true;
    while (isSyncWanted(config)) {
      await heal(context, ends, relations);
      if (troubled) await context.state.setFact(TROUBLE_FACT, null);
      troubled = false;
      await recopyTruncated(context, ends, relations);
      if (Date.now() >= due.purge) {
        for (const relation of relations) await purgeApplied(ends.source, relation);
        due.purge = Date.now() + PURGE_EVERY_MS;
      }
      if (Date.now() >= due.capture) {
        await lookAtCapture(context, ends);
        due.capture = Date.now() + CHECK_CAPTURE_EVERY_MS;
      }
      const lag = await readLag(ends.source, relations);
      context.progress.report(lag.changes, 0, 'changes', `${lag.seconds.toFixed(1)} s behind`);
      await sleep(LOOK_EVERY_MS);
    }
  } catch (error) {
    context.log.warn({ err: error }, 'the supervisor begins anew');
    const before = await context.state.fact<Trouble | null>(TROUBLE_FACT).catch(() => null);
    const trouble: Trouble = { message: oneLine(error), since: before?.since ?? Date.now() };
    await context.state.setFact(TROUBLE_FACT, trouble).catch(() => undefined);
    throw error;
  } finally {
    await context.close();
  }
}

async function heal(context: Context, ends: Ends, relations: readonly Relation[]): Promise<void> {
  const why = !bucardoRuns(context.config.host) ? 'dead' : (await isStuck(context)) ? 'stuck' : undefined;
  if (why === undefined) return;
  context.log.warn({ why, lastWords: lastWords(context.config.host) }, 'Bucardo is started');
  await context.state.count('bucardo.starts', 1);
  await handOver(context, ends, relations);
}

async function isStuck(context: Context): Promise<boolean> {
  const client = await connectToHost(context.config.host, BUCARDO_DATABASE);
  try {
    const { rows } = await client.query(
      `SELECT extract(epoch FROM clock_timestamp() - greatest(
           (SELECT max(ended) FROM bucardo.syncrun WHERE sync = $1 AND (lastgood OR lastempty)),
           (SELECT cdate FROM bucardo.sync WHERE name = $1))) AS idle,
         EXISTS (SELECT FROM bucardo.syncrun WHERE sync = $1 AND ended IS NULL) AS busy`,
      [SYNC],
    );
    const { idle, busy } = rows[0] as { idle: string | null; busy: boolean };
    return !busy && Number(idle ?? 0) > STUCK_SECONDS;
  } finally {
    await client.end();
  }
}

async function recopyTruncated(context: Context, ends: Ends, relations: readonly Relation[]): Promise<void> {
  if ((await truncatedRelations(ends.source)) === 0) return;
  context.log.info('a relation was truncated: catch-up copies it anew');
  const lease = await takeOver(context, ends);
  const catchUp = new CatchUp(context, relations, lease);
  await catchUp.until(ends.source, context.config.sync.handoverKeys);
  await catchUp.close();
  await handOver(context, ends, relations);
}

async function lookAtCapture(context: Context, ends: Ends): Promise<void> {
  const relations = await readRelations(ends.source, context.config);
  const { problems } = await inspectCapture(context, ends.source, relations);
  if (problems.size === 0) return;
  context.log.error({ problems: [...problems.values()] }, 'capture is not complete');
  await context.state.setFact(PROBLEM_FACT, { problems: [...problems.values()] });
}
