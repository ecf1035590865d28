import { Brake } from './brake/brake';
import { refusal, takenOff } from './brake/capture-off';
import { takeCaptureOff } from './brake/take-off';
import type { AgentConfig } from './config';
import { Context } from './context';
import { Failure, oneLine } from './errors';
import { explainHost, HostFull } from './host-volume';
import { Jobs } from './job';
import type { PhaseRecord } from './state';

/** What a phase leaves behind: a line for the operator, figures for the report. */
export interface PhaseOutcome {
  readonly message: string;
  readonly result?: Readonly<Record<string, unknown>>;
}

/** One phase of the migration. */
export interface Phase {
  readonly name: string;
  /** Phases that must have succeeded before; of those in a list of their own, one. */
  readonly after: readonly (string | readonly string[])[];
  /** Whether a phase that has succeeded has nothing left to do; `false` for those that look anew each time. */
  readonly once: boolean;
  /** Whether a success still holds, for a phase with `once` that another one undoes. @default it does */
  readonly holds?: (context: Context) => Promise<boolean>;
  /** Whether an earlier run has gone so far that this one must go on, whatever is known of the phases before. @default no */
  readonly mustGoOn?: (context: Context) => Promise<boolean>;
  /** Whether it is enough that those before have succeeded at any time, whatever became of a later run. @default no */
  readonly afterAnyRun?: boolean;
  /** Throws Failure when it may not be started now, of which nothing is recorded. @default it may */
  readonly mayStart?: (context: Context) => Promise<void>;
  /** Whether it works under the brake: changes pile up on the source meanwhile. @default false */
  readonly braked?: boolean;
  readonly run: (context: Context) => Promise<PhaseOutcome>;
}

/** Runs a phase in this process. Returns the line that says how it ended; throws Failure when it did not succeed. */
export async function runPhase(config: AgentConfig, phase: Phase): Promise<string> {
  const jobs = new Jobs(config);
  if (jobs.isRunning(phase.name)) {
    throw new Failure(`${phase.name} runs already as process ${jobs.read(phase.name)?.process.pid}; wait for it`);
  }
  jobs.begin(phase.name);
  try {
    const message = await guarded(config, phase);
    jobs.end(phase.name, 'succeeded', message);
    return message;
  } catch (error) {
    const told = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? explainHost(config.host, error) : error;
    try {
      jobs.end(phase.name, 'failed', oneLine(told));
    } catch (unwritten) {
      // Why the phase failed must not be hidden by that.
      if (!(unwritten instanceof HostFull)) throw unwritten;
    }
    throw told;
  }
}

async function guarded(config: AgentConfig, phase: Phase): Promise<string> {
  const context = await Context.create(config, phase.name);
  try {
    if (!(await context.state.claim(phase.name))) {
      throw new Failure(`${phase.name} runs already in another process, or cleanup does; wait for it`);
    }
    const known = await context.state.phases();
    const before = known.find((record) => record.name === phase.name);
    if (phase.once && before?.status === 'succeeded' && (await holds(phase, context))) {
      return `done already: ${before.message}`;
    }
    if (!(await phase.mustGoOn?.(context))) {
      await requireCapture(context, phase);
      requireEarlier(phase, known);
    }
    await phase.mayStart?.(context);
    // The runbook migrate asks for no approval of a cleanup that has succeeded, and that was an earlier migration's.
    if (phase.name === FIRST) new Jobs(config).forget((job) => job === 'cleanup');
    await context.state.phaseStarted(phase.name);
    return await recorded(context, phase);
  } finally {
    await context.close();
  }
}

const holds = (phase: Phase, context: Context): Promise<boolean> => phase.holds?.(context) ?? Promise.resolve(true);

/** The first phase that leaves something behind, with which a migration begins. */
const FIRST = 'schema';

/** Phases that may be run when capture was taken off: one changes nothing, the other removes the rest. */
const WITHOUT_CAPTURE = ['assess', 'cleanup'];

/** Throws Failure when capture was taken off; what of that is not done yet is done first. */
async function requireCapture(context: Context, phase: Phase): Promise<void> {
  if (WITHOUT_CAPTURE.includes(phase.name)) return;
  const reason = await takenOff(context.state);
  if (reason === undefined) return;
  await context.with('source', (source) => takeCaptureOff(context, source, reason));
  throw refusal(reason);
}

async function underBrake(context: Context, phase: Phase): Promise<PhaseOutcome> {
  const brake = Brake.open(context);
  context.brake = brake;
  try {
    const outcome = await phase.run(context);
    brake.throwIfOff();
    return outcome;
  } catch (error) {
    // What broke because the triggers went is told by its cause.
    brake.throwIfOff();
    throw error;
  } finally {
    await brake.close();
  }
}

async function recorded(context: Context, phase: Phase): Promise<string> {
  try {
    const outcome = await (phase.braked ? underBrake(context, phase) : phase.run(context));
    await context.state.phaseEnded(phase.name, 'succeeded', outcome.message, outcome.result);
    context.log.info({ result: outcome.result }, outcome.message);
    return outcome.message;
  } catch (error) {
    context.log.error({ err: error }, 'phase failed');
    await context.state.phaseEnded(phase.name, 'failed', oneLine(error)).catch(() => undefined);
    throw error;
  }
}

function requireEarlier(phase: Phase, known: readonly PhaseRecord[]): void {
  const hasSucceeded = (name: string): boolean => {
    const record = known.find((each) => each.name === name);
    return record?.status === 'succeeded' || (phase.afterAnyRun === true && record?.hasSucceeded === true);
  };
  const missing = phase.after.filter((one) => ![one].flat().some(hasSucceeded));
  if (missing.length > 0) {
    const names = missing.map((one) => [one].flat().join(' or '));
    throw new Failure(`${phase.name} needs ${names.join(', ')} to have succeeded first; start that runbook`);
  }
}
