import { setTimeout as sleep } from 'node:timers/promises';
import { Brake } from '../brake/brake';
import { takenOff } from '../brake/capture-off';
import { foldRuns } from '../bucardo/runs';
import type { AgentConfig } from '../config';
import { Context } from '../context';
import { leadHomeUnasked } from '../cutover/home';
import type { Direction } from '../endpoints';
import { Failure, oneLine } from '../errors';
import { Jobs } from '../job';
import type { Ends } from './applier';
import { Heartbeats } from './beat';
import { recopyTruncated } from './catch-up-instead';
import { Duties, type Duty, type Watch } from './duty';
import { noteTrouble, TROUBLE_FACT } from './facts';
import { feedBack } from './feed-back';
import { guardQueues } from './guard-queues';
import { Healer } from './heal';
import { Kicks } from './kicks';
import { captureLook, lagLook, lookAtSource, sourceLooks } from './looks';
import { SupervisorMemory } from './memory';
import { Purge } from './purge';
import { resumeUnasked } from './resume';
import { ifTold, SUPERVISOR, unwantSync, wantedDirection } from './supervisor-job';
import { syncedRelations } from './synced';
import { TakeBack } from './take-back';
import { VerifyAgain } from '../verify/dirty/verify-again';
import { DirtyVerifier } from '../verify/dirty/verify-dirty';

/** Time between two rounds of the duties; milliseconds. */
const ROUND_MS = 1_000;

/** Pauses after a failure; milliseconds. */
const RETRY_MS = 1_000;

/** Pauses between two looks for what an attempt that died has left, and after one that failed; milliseconds. */
const LEFT_MS = 5_000;
const LEFT_AGAIN_MS = 30_000;

/** Rounds without a sync from one look at the queues to the next. */
const IDLE_ROUNDS = 30;

/**
 * Keeps the sync alive until it is killed: restarts Bucardo when it is dead or stuck, which by itself it never comes
 * back from, forgets what is applied, lets catch-up do what Bucardo cannot, and looks whether capture is in place. Or,
 * while the target takes the writes, feeds the source.
 */
export async function supervise(config: AgentConfig): Promise<never> {
  new Jobs(config).begin(SUPERVISOR);
  void mendWhatDied(config);
  let memory = new SupervisorMemory();
  let before: Direction | undefined;
  let told = '';
  // What goes wrong is in the log too, unless that, or the host's PostgreSQL, is on a volume that is full.
  const tell = (error: unknown): void => {
    if (oneLine(error) !== told) process.stderr.write(`ibex: ${oneLine(error)}\n`);
    told = oneLine(error);
  };
  for (let round = 0; ; round += 1) {
    // The next look mends what goes wrong, or meets it again.
    const direction = ifTold(() => wantedDirection(config), tell);
    if (direction !== before) memory = new SupervisorMemory();
    before = direction;
    const work = direction === 'forward' ? watch : feedBack;
    if (direction !== undefined) await work(config, memory).catch(tell);
    else if (round % IDLE_ROUNDS === 0) await guardQueues(config).catch(tell);
    await sleep(RETRY_MS);
  }
}

/**
 * Looks at once, as after a boot, and again and again, for what an attempt that died has left: clients whom it has led away,
 * and a sync that it has stopped. Both claim the move of writes, so one after the other.
 */
async function mendWhatDied(config: AgentConfig): Promise<never> {
  const isDone = (work: Promise<void>): Promise<boolean> =>
    work.then(
      () => true,
      () => false,
    );
  for (;;) {
    const areHome = await isDone(leadHomeUnasked(config, SUPERVISOR));
    const goesOn = await isDone(resumeUnasked(config, SUPERVISOR));
    await sleep(areHome && goesOn ? LEFT_MS : LEFT_AGAIN_MS);
  }
}

/**
 * Does the duties again and again, until the sync is not wanted any more. What goes wrong stands as the trouble of the
 * supervisor, and is thrown.
 */
export async function watch(config: AgentConfig, memory: SupervisorMemory): Promise<void> {
  const context = await Context.create(config, SUPERVISOR);
  const brake = Brake.open(context);
  const kicks = new Kicks(config);
  context.brake = brake;
  let purge: Purge | undefined;
  let verifier: DirtyVerifier | undefined;
  try {
    if (!(await context.state.claim(SUPERVISOR))) throw new Failure('the supervisor runs already in another process');
    const source = await context.connect('source');
    await lookAtSource(context, source, memory);
    const ends: Ends = { source, target: await context.connect('target') };
    const relations = await syncedRelations(context, ends);
    purge = new Purge({ context, ends, relations }, memory.purge);
    verifier = new DirtyVerifier(context, relations, memory.compare);
    const duties = new Duties(dutiesOf({ context, ends, relations }, memory, purge, verifier));
    let inTrouble = true;
    while (wantedDirection(config) === 'forward') {
      brake.throwIfOff();
      await duties.runDue();
      // A start or a copy that failed, or a row that is refused, is no less trouble while the next try is waited for.
      const { failing, refused } = memory.starts;
      const isTrouble = failing || refused || memory.recopies.failing;
      if (inTrouble && !isTrouble) await context.state.setFact(TROUBLE_FACT, null);
      inTrouble = isTrouble;
      await sleep(ROUND_MS);
    }
  } catch (error) {
    context.log.warn({ err: error }, 'the supervisor begins anew');
    await noteTrouble(context.state, error).catch(() => undefined);
    throw error;
  } finally {
    await verifier?.close();
    await purge?.close();
    await kicks.close();
    await brake.close();
    if ((await takenOff(context.state).catch(() => undefined)) !== undefined) unwantSync(config);
    await context.close();
  }
}

/** In the order in which they are run. */
function dutiesOf(watch: Watch, memory: SupervisorMemory, purge: Purge, verifier: DirtyVerifier): Duty[] {
  const again = new VerifyAgain(watch.context, memory.verifyAgain);
  return [
    // Before what may fail again and again.
    captureLook(watch),
    new TakeBack(watch, memory),
    new Healer(watch, memory.starts, memory.recopies),
    new Heartbeats(watch, memory.beats),
    { name: 'truncated', everyMs: 1_000, run: () => recopyTruncated(watch, memory.recopies) },
    purge,
    { name: 'verify dirty', everyMs: 1_000, run: async () => void (await verifier.step()) },
    { name: 'verify again', everyMs: 1_000, run: async () => void again.step(watch.relations) },
    ...sourceLooks(watch),
    lagLook(watch),
    {
      name: 'fold runs',
      everyMs: 600_000,
      // Where it was never installed there is nothing to fold, and no database either.
      run: async () => (memory.starts.failing ? undefined : foldRuns(watch.context.config.host)),
    },
  ];
}
