import type { Client } from 'pg';
import { readBacklog, total } from '../catch-up/backlog';
import type { CatchUp } from '../catch-up/rounds';
import { inspectCapture } from '../capture/check';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { fenceSource, makeFenceFinal, openSource, openTarget, type FenceProof } from '../fence';
import type { HeldSnapshots, SnapshotHolders } from '../verify/held-snapshots';
import { forwardSequences } from './sequences';
import { switchClients } from './switch';
import type { Timeline } from './timeline';

/** What the pause works on. */
export interface PauseInput {
  readonly context: Context;
  readonly source: Client;
  readonly target: Client;
  readonly relations: readonly Relation[];
  /** Holds the lease of the target, and sessions that stand ready. */
  readonly catchUp: CatchUp;
  readonly timeline: Timeline;
  /** Sessions that stand ready to keep both ends' snapshots for the comparison; absent when none is wanted. */
  readonly holders: SnapshotHolders | undefined;
}

/** What the pause leaves. */
export interface PauseOutcome {
  /** Absent when an earlier run had fenced. */
  readonly fence: FenceProof | undefined;
  readonly drainedKeys: number;
  readonly sequences: number;
  readonly switched: string;
  readonly held: HeldSnapshots | undefined;
}

/**
 * The write pause: fence, drain, prove, sequences, switch, point of no return, open. Whatever fails before the point of
 * no return gives writes back to the source; were this process killed, the fence's deadline does. What fails after it
 * leaves the source closed for the next run to go forward.
 */
export async function pauseWrites(input: PauseInput): Promise<PauseOutcome> {
  const outcome = await untilNoReturn(input);
  await afterNoReturn(input);
  return outcome;
}

async function untilNoReturn(input: PauseInput): Promise<PauseOutcome> {
  const { context, source, target, timeline, holders } = input;
  const { cutover } = context.config;
  let switching = false;
  let held: HeldSnapshots | undefined;
  try {
    const fence = await timeline.step('fence', () =>
      fenceSource(source, cutover.budgetSeconds, Date.now() + timeline.left()),
    );
    const drainedKeys = await timeline.step('drain', () => drain(input));
    await timeline.step('prove', () => prove(input));
    const sequences = await timeline.step('sequences', () => forwardSequences(source, target, context.config));
    if (holders) held = await timeline.step('hold snapshots', () => holders.hold());
    switching = true;
    const switched = await timeline.step('switch', () => switchClients(cutover.switch, context.real('target')));
    await timeline.step('point of no return', () => makeFenceFinal(source, fence.deadline), false);
    return { fence, drainedKeys, sequences, switched, held };
  } catch (error) {
    await held?.release().catch(() => undefined);
    await giveBack(input, switching, error);
    throw error;
  }
}

/** From here on only forward: a change that slipped in while the fence became final is applied, then writes open. */
export async function afterNoReturn(input: PauseInput): Promise<number> {
  const { target, timeline } = input;
  const keys = await timeline.step('last look', () => drain(input), false);
  await timeline.step('open', () => openTarget(target), false);
  return keys;
}

/** Applies what is left until nothing is; with the source fenced there is an end. */
export async function drain({ source, relations, catchUp }: PauseInput): Promise<number> {
  let keys = 0;
  for (;;) {
    const backlog = await readBacklog(source, relations, 1_000_000);
    if (backlog.length === 0) return keys;
    keys += await catchUp.apply(backlog.map(({ relation }) => relation));
  }
}

/** The proof that the target has everything, asked of the source in one new snapshot. */
async function prove({ context, source, relations }: PauseInput): Promise<void> {
  const left = total(await readBacklog(source, relations, 1_000));
  const { problems } = await inspectCapture(context, source, relations);
  const passed = left === 0 && problems.size === 0;
  await context.evidence('drained', passed, 'readBacklog, inspectCapture', { left, problems: [...problems.values()] });
  if (left > 0) throw new Failure(`${left} changes are left although writes are stopped`);
  if (problems.size > 0) throw new Failure(`changes may have been missed: ${[...problems.values()].join('; ')}`);
}

/** Opens the source again and moves the clients back, unless the point of no return turns out to be behind us. */
async function giveBack({ context, source, timeline }: PauseInput, switching: boolean, cause: unknown): Promise<void> {
  // A session that broke is no reason to keep writes stopped until the deadline.
  const reopen = async (): Promise<boolean> => {
    const state = await openSource(source).catch(() => context.with('source', openSource));
    return state === 'final';
  };
  const final = await timeline.step('give writes back', reopen, false).catch((error: unknown) => {
    context.log.error({ err: error }, 'the source opens at its deadline, if it is not final');
    return false;
  });
  if (final) {
    throw new Failure(
      `the point of no return is passed although ${oneLine(cause)}; start ${context.phase} again, it goes forward`,
    );
  }
  if (switching) {
    await timeline
      .step('switch back', () => switchClients(context.config.cutover.switch, context.real('source')), false)
      .catch((error: unknown) => context.log.error({ err: error }, 'clients could not be switched back'));
  }
}
