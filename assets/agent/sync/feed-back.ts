import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Brake } from '../brake/brake';
import { takenOff } from '../brake/capture-off';
import { inspectCapture } from '../capture/check';
import { mendQueues } from '../capture/mend-queues';
import { CAPTURE_SCHEMA } from '../capture/names';
import { readRelations, type Relation } from '../catalog/relations';
import { hasSchema } from '../catalog/schemas';
import { readBacklog, total, type Backlog } from '../catch-up/backlog';
import { CatchUp } from '../catch-up/rounds';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import { tablesThatStay } from '../cutover/way-back';
import { Failure, oneLine } from '../errors';
import { fenceGaps } from '../fence/target';
import { letWait } from '../fence/turn';
import { DirtyVerifier } from '../verify/dirty/verify-dirty';
import { VerifyAgain } from '../verify/dirty/verify-again';
import { LAG_FACT, type SeenLag } from './beat';
import { readTables } from './catalog-watch';
import { takeInAltered } from './fed-tables';
import { noteTrouble, PROBLEM_FACT, TROUBLE_FACT } from './facts';
import { clearIdentity, watchIdentities, watchIdentity } from './identity';
import { DirtyKeys } from '../verify/dirty/dirty-keys';
import { takeOver, type Ends } from './applier';
import { looksWhileFed, whileLooking } from './looks';
import type { SupervisorMemory } from './memory';
import { SUPERVISOR, unwantSync, wantedDirection } from './supervisor-job';

const LOOK_EVERY_MS = 1_000;
const CHECK_EVERY_MS = 5_000;

/** How far a queue is counted. */
const COUNT_LIMIT = 100_000;

/**
 * Feeds the end that was left with what the other one takes, as long as that is wanted: catch-up round after round, and
 * no Bucardo, which would need a login that may run as a replica, on servers before 15 a superuser.
 *
 * What closes the way back (a row that the old end refuses, a definition that it has not, a hole in capture or fence) is
 * kept as the problem of this direction, with the time and the reason, until it is mended; a rollback refuses meanwhile.
 */
export async function feedBack(config: AgentConfig, memory: SupervisorMemory): Promise<void> {
  const context = await Context.create(config, SUPERVISOR, 'back');
  const brake = openBrake(context);
  context.brake = brake;
  try {
    if (!(await context.state.claim(SUPERVISOR))) throw new Failure('the supervisor runs already in another process');
    const serving = await context.connect('source');
    await lookAtServing(context, serving, memory);
    const ends: Ends = { source: serving, target: await context.connect('target') };
    if (!(await letWait(ends.target, ends.source))) throw new Failure('the source does not wait: start cutover again');
    await feed(context, ends, memory);
  } catch (error) {
    context.log.warn({ err: error }, 'feeding back begins anew');
    await noteTrouble(context.state, error).catch(() => undefined);
    throw error;
  } finally {
    await brake.close();
    if (await isTakenOff(context).catch(() => false)) unwantSync(config);
    await context.close();
  }
}

/**
 * The serving end is spared a queue without end, as when the old one is switched off, and who waits for a lock of ours. By
 * nothing else is the feeding held up: the queue would grow until the way back is closed.
 */
function openBrake({ config, direction, log }: Context): Brake {
  const { queueMegabytes, lockWaitMs } = config.brake;
  const limits = { slowSessions: 0, pauseSessions: 0, queueGrowthMegabytes: 0, hostFreeMegabytes: 0 };
  return Brake.open({ config: { ...config, brake: { ...limits, queueMegabytes, lockWaitMs } }, direction, log });
}

/** Whether the brake has ended the way back, and nothing is left to be taken off. */
async function isTakenOff(context: Context): Promise<boolean> {
  if ((await takenOff(context.state)) === undefined) return false;
  return context.with('source', async (serving) => !(await hasSchema(serving, CAPTURE_SCHEMA)));
}

async function feed(context: Context, ends: Ends, memory: SupervisorMemory): Promise<void> {
  const lease = await takeOver(context, ends);
  let relations = await readRelations(ends.source, context.config);
  let catchUp = new CatchUp(context, relations, lease);
  let obstacles: Obstacles = { reasons: [], relations: new Set() };
  let check = 0;
  let fed = 0;
  const verifier = new DirtyVerifier(context, relations, memory.compare);
  const again = new VerifyAgain(context, memory.verifyAgain);
  while (wantedDirection(context.config) === 'back') {
    context.brake.throwIfOff();
    if (performance.now() >= check) {
      const tables = await readTables(context, ends.source);
      relations = await readRelations(ends.source, context.config);
      obstacles = await obstaclesOf(context, ends, relations);
      await takeInAltered(context, ends, tables, relations, obstacles.relations);
      await catchUp.close();
      catchUp = new CatchUp(context, relations, lease);
      verifier.over(relations);
      await watchOverIdentity(context, ends, relations);
      check = performance.now() + CHECK_EVERY_MS;
    }
    const captured = relations.filter((relation) => !obstacles.relations.has(relation.sql));
    await verifier.step();
    void again.step(captured);
    const backlog = await readBacklog(ends.source, captured, COUNT_LIMIT);
    const { keys, refusals } = await whileLooking(context, looksWhileFed, () => applyAll(catchUp, backlog));
    await remember(context, [...obstacles.reasons, ...refusals]);
    await context.state.setFact(TROUBLE_FACT, null);
    await context.state.setFact(LAG_FACT, { at: Date.now(), lag: {} } satisfies SeenLag);
    fed += keys;
    context.progress.report(fed, 0, 'keys fed back', `${total(backlog)} changes behind`);
    if (total(backlog) === 0 || refusals.length > 0) await sleep(LOOK_EVERY_MS);
  }
}

/**
 * Looks at the serving end before the other one is asked for, which may be away for days: a key that is altered must not
 * cost the application its writes until then, and what was known of a server that is another now may be gone by then.
 */
async function lookAtServing(context: Context, serving: Client, memory: SupervisorMemory): Promise<void> {
  // What the brake has taken off is no finding.
  if (performance.now() < memory.servingLook || (await takenOff(context.state)) !== undefined) return;
  const problems = await captureProblems(context, serving, await readRelations(serving, context.config));
  // What else closed the way back is known again once the other end is asked.
  if (problems.size > 0) await remember(context, [...problems.values()]);
  await watchIdentity(context, serving);
  memory.servingLook = performance.now() + CHECK_EVERY_MS;
}

/** A jump of either end stands as a problem until every relation has been compared as a whole after it. */
async function watchOverIdentity(context: Context, ends: Ends, relations: readonly Relation[]): Promise<void> {
  const identities = await watchIdentities(context, ends);
  const dirty = await DirtyKeys.open(context);
  const { unverified } = await dirty.count(relations).finally(() => dirty.close());
  if (unverified.length === 0) await clearIdentity(context, ends, identities);
}

/** All at once; when a row is refused, table by table, so that one table does not hold up the others. */
async function applyAll(catchUp: CatchUp, backlog: readonly Backlog[]): Promise<{ keys: number; refusals: string[] }> {
  const relations = backlog.map(({ relation }) => relation);
  try {
    return { keys: await catchUp.apply(relations), refusals: [] };
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  let keys = 0;
  const refusals: string[] = [];
  for (const relation of relations) {
    try {
      keys += await catchUp.apply([relation]);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refusals.push(oneLine(error));
    }
  }
  return { keys, refusals };
}

/** Whether the server refused what was applied, which trying again does not mend; not that it was away, busy or full. */
function isRefusal(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as { code?: string };
  return code !== undefined && /^(21|22|23|27|38|39|42|44|54|P0|0A)/.test(code) && code.length === 5;
}

/** What keeps changes of the serving end from being known, or from being taken by the other. */
interface Obstacles {
  readonly reasons: readonly string[];
  /** Relations that cannot be fed, by quoted name. */
  readonly relations: ReadonlySet<string>;
}

async function obstaclesOf(context: Context, ends: Ends, relations: readonly Relation[]): Promise<Obstacles> {
  const problems = await captureProblems(context, ends.source, relations);
  const old = await readRelations(ends.target, context.config);
  const stay = tablesThatStay(old, relations);
  return {
    reasons: [...problems.values(), ...stay.map(({ why }) => why), ...(await fenceGaps(ends.target))],
    relations: new Set([...problems.keys(), ...stay.map(({ name }) => name)]),
  };
}

/** Has keys noted as they are now. Returns what is wrong with the capture of each relation, by quoted name. */
async function captureProblems(
  context: Context,
  serving: Client,
  relations: readonly Relation[],
): Promise<ReadonlyMap<string, string>> {
  await mendQueues(context, serving, relations);
  return (await inspectCapture(context, serving, relations)).problems;
}

/** The problem of this direction: the time when it began stays as long as there is one. */
interface Closed {
  readonly problems: readonly string[];
  readonly since: string;
}

async function remember(context: Context, reasons: readonly string[]): Promise<void> {
  const before = await context.state.fact<Closed | null>(PROBLEM_FACT);
  if (reasons.length === 0) {
    if (before) {
      await context.state.setFact(PROBLEM_FACT, null);
      context.log.info('the way back is open again');
    }
    return;
  }
  const since = before?.since ?? new Date().toISOString();
  const text = `the way back is closed since ${since} because ${reasons.slice(0, 5).join('; ')}`;
  if (before?.problems[0] === text) return;
  context.log.error({ reasons }, text);
  await context.evidence('way back open', false, 'feedBack', { since, reasons: reasons.slice(0, 20) });
  await context.state.setFact(PROBLEM_FACT, { problems: [text], since } satisfies Closed);
}
