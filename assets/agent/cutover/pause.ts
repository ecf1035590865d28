import type { Client } from 'pg';
import { readBacklog, total } from '../catch-up/backlog';
import type { CatchUp } from '../catch-up/rounds';
import { inspectCapture } from '../capture/check';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { fenceSource, makeFenceFinal, openSource, type FenceProof } from '../fence/source';
import { openTarget } from '../fence/target';
import { proveRefusal } from '../fence/prove-refusal';
import { ownSeconds } from '../switch/config';
import type { Finished, Switches } from '../switch/switches';
import type { WatchedTables } from '../sync/catalog-watch';
import type { LastKeys, LastProof } from '../verify/dirty/last-keys';
import type { HeldSnapshots, SnapshotHolders } from '../verify/held-snapshots';
import type { ClientWatch } from './client-watch';
import { setLed } from './home';
import { proveRows } from './prove-rows';
import type { Readers } from './readers';
import { sameTables } from './same-tables';
import { setSequences } from './sequences';
import type { Timeline } from './timeline';

/** What the pause works on. */
export interface PauseInput {
  readonly context: Context;
  readonly source: Client;
  readonly target: Client;
  readonly relations: readonly Relation[];
  /** The source's tables before the gates were asked; whatever changed since, nobody has looked at. Empty past the point of no return. */
  readonly tables: WatchedTables;
  /** Holds the lease of the target, and sessions that stand ready. */
  readonly catchUp: CatchUp;
  readonly timeline: Timeline;
  /** What moves the clients. */
  readonly switches: Switches;
  /** What moves those who only read. */
  readonly readers: Readers;
  /** Sessions that stand ready to keep both ends' snapshots for the comparison; absent when none is wanted. */
  readonly holders: SnapshotHolders | undefined;
  /** Looks at what the clients see; absent after the point of no return. */
  readonly clients: ClientWatch | undefined;
  /** Sessions that stand ready to compare the keys of the last seconds; absent after the point of no return. */
  readonly lastKeys: LastKeys | undefined;
}

/** What the pause leaves. */
export interface PauseOutcome {
  /** Absent when an earlier run had fenced. */
  readonly fence: FenceProof | undefined;
  readonly drainedKeys: number;
  /** That every row is equal; absent when an earlier run has proven it. */
  readonly proof: LastProof | undefined;
  readonly sequences: number;
  readonly switched: string;
  /** What became of the clients that were held. */
  readonly released: readonly Finished[];
  readonly held: HeldSnapshots | undefined;
}

/**
 * The write pause: hold clients, fence, drain, prove, sequences, switch, point of no return, open, let clients go on.
 * Whatever fails before the point of no return gives writes back to the source; were this process killed, the fence's
 * deadline does. What fails after it leaves the source closed for the next run to go forward.
 */
export async function pauseWrites(input: PauseInput): Promise<PauseOutcome> {
  const outcome = await untilNoReturn(input);
  await afterNoReturn(input);
  return { ...outcome, released: await letGo(input) };
}

/** Lets clients go on that were held; what fails is told later, since writes are open. */
export const letGo = ({ context, timeline, switches }: PauseInput): Promise<Finished[]> =>
  timeline.step('let clients go on', () => switches.release(context.real('target')), false);

async function untilNoReturn(input: PauseInput): Promise<Omit<PauseOutcome, 'released'>> {
  const { context, source, timeline, holders, switches } = input;
  const left = (): number => timeline.left();
  const to = context.real('target');
  let held: HeldSnapshots | undefined;
  try {
    // Each switch keeps to the time that is left and is waited for: none may run on beside the way back.
    await timeline.step('hold clients', () => switches.hold(to, left), false);
    const fence = await timeline.step('fence', () =>
      fenceSource(source, left() / 1000 + ownSeconds(context.config.cutover.switches), performance.now() + left()),
    );
    const drainedKeys = await timeline.step('drain', () => drain(input));
    await timeline.step('prove', () => prove(input));
    const proof = await timeline.step('compare', () => proveRows(input));
    const sequences = await timeline.step('sequences', () => sequencesGoOn(input));
    if (holders) held = await timeline.step('hold snapshots', () => holders.hold());
    const switched = await timeline.step('switch', () => switches.move(to, left), false);
    await timeline.step(
      'point of no return',
      () => makeFenceFinal(source, fence.deadline, () => sameTables(context, source, input.tables, false)),
      false,
    );
    return { fence, drainedKeys, proof, sequences, switched, held };
  } catch (error) {
    await held?.release().catch(() => undefined);
    await giveBack(input, error);
    throw error;
  }
}

/** From here on only forward: a change that slipped in while the fence became final is applied, then writes open. */
export async function afterNoReturn(input: PauseInput): Promise<number> {
  const { target, timeline } = input;
  const keys = await timeline.step('last look', () => drain(input), false);
  input.clients?.look(timeline);
  await timeline.step('open', () => openTarget(target), false);
  return keys;
}

/** Sessions on each end that apply what is left. More than elsewhere, since nobody else works on either end. */
export const DRAIN_SESSIONS = 6;

/** Applies what is left until nothing is; with the source fenced there is an end. */
export async function drain({ source, relations, catchUp }: PauseInput): Promise<number> {
  let keys = 0;
  for (;;) {
    const backlog = await readBacklog(source, relations, 1_000_000);
    if (backlog.length === 0) return keys;
    keys += await catchUp.applyShort(backlog, DRAIN_SESSIONS);
  }
}

/** The proof that the target has everything, asked of the source in one new snapshot. */
async function prove(input: PauseInput): Promise<void> {
  const { context, source, relations } = input;
  await proveRefusal(context, source);
  await sameTables(context, source, input.tables, true);
  const left = total(await readBacklog(source, relations, 1_000));
  const { problems } = await inspectCapture(context, source, relations);
  const passed = left === 0 && problems.size === 0;
  await context.evidence('drained', passed, 'readBacklog, inspectCapture', { left, problems: [...problems.values()] });
  if (left > 0) throw new Failure(`${left} changes are left although writes are stopped`);
  if (problems.size > 0) throw new Failure(`changes may have been missed: ${[...problems.values()].join('; ')}`);
}

/** Puts the target's sequences ahead, and keeps where each of both ends stands. Returns how many there are. */
async function sequencesGoOn({ context, source, target }: PauseInput): Promise<number> {
  const set = await setSequences(source, target, context.config);
  await context.evidence('sequences go on', true, 'pg_sequences, setval', set);
  return set.length;
}

/** Opens the source again and moves the clients back, unless the point of no return turns out to be behind us. */
async function giveBack(input: PauseInput, cause: unknown): Promise<void> {
  const { context, source, timeline, switches } = input;
  // A session that broke is no reason to keep writes stopped until the deadline.
  const reopen = async (): Promise<boolean> => {
    const state = await openSource(source).catch(() => context.with('source', openSource));
    return state === 'final';
  };
  input.clients?.look(timeline);
  const final = await timeline.step('give writes back', reopen, false).catch((error: unknown) => {
    context.log.error({ err: error }, 'the source opens at its deadline, if it is not final');
    return false;
  });
  if (final) {
    throw new Failure(
      `the point of no return is passed although ${oneLine(cause)}; start ${context.phase} again, it goes forward`,
    );
  }
  const back = await timeline.step('switch back', () => switches.back(context.real('source')), false);
  const isBack = back.every(({ problem }) => problem === undefined);
  await context.evidence('clients are back', isBack, 'switches.back', back);
  if (isBack) await setLed(context, 'clients', false);
}
