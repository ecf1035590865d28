import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { takenOff } from '../brake/capture-off';
import { readLag } from '../bucardo/queues';
import { mendQueues } from '../capture/mend-queues';
import { readRelations } from '../catalog/relations';
import type { Context } from '../context';
import { Spacing } from '../spacing';
import { watchCapture, watchKeys } from './capture-watch';
import { watchCatalog } from './catalog-watch';
import { Duties, type Duty, type Looked, type Watch } from './duty';
import { watchIdentities } from './identity';
import type { SupervisorMemory } from './memory';

/** Time between two rounds, and before the first: what is done sooner needs no looks beside it; milliseconds. */
const ROUND_MS = 1_000;

/** Time after looks that failed; milliseconds. */
const AGAIN_MS = 5_000;

/** Time between two looks at the source by itself; milliseconds. */
const ALONE_MS = 5_000;

/** Before anything else: while a key does not fit its queue, the application's writes are refused. */
export function captureLook(watch: Looked): Duty {
  const spacing = new Spacing();
  return { name: 'capture', everyMs: 10_000, spacing, run: () => watchCapture(watch, spacing) };
}

/** How far the target is behind, for people. */
export function lagLook({ context, ends, relations }: Watch): Duty {
  const spacing = new Spacing();
  const run = async (): Promise<void> => {
    const lag = await spacing.run(() => readLag(ends.source, relations));
    context.progress.report(lag.changes, 0, 'changes', `${lag.seconds.toFixed(1)} s behind`);
  };
  return { name: 'lag', everyMs: 1_000, spacing, run };
}

/**
 * Looks at the source before the target is asked for, which may be away, or emptied, for days: a key that is altered must not
 * cost the application its writes until then.
 */
export async function lookAtSource(
  context: Context,
  source: Client,
  memory: Pick<SupervisorMemory, 'servingLook'>,
): Promise<void> {
  // What the brake has taken off is no finding.
  if (performance.now() < memory.servingLook || (await takenOff(context.state)) !== undefined) return;
  await watchKeys(context, source, await readRelations(source, context.config));
  memory.servingLook = performance.now() + ALONE_MS;
}

/** Whether both ends are the servers that they were, and the source's tables are those that were captured. */
export const sourceLooks = (watch: Looked): Duty[] => [
  { name: 'identity', everyMs: 5_000, run: async () => void (await watchIdentities(watch.context, watch.ends)) },
  { name: 'catalog', everyMs: 60_000, run: async () => void (await watchCatalog(watch.context, watch.ends.source)) },
];

/** All of these, while the supervisor is at something that takes long. */
export const looksWhileSynced = (looked: Looked): Duty[] => [captureLook(looked), ...sourceLooks(looked)];

/** On the way back: writes that are refused, and a server that is another, may not wait for changes that take hours. */
export const looksWhileFed = ({ context, ends }: Looked): Duty[] => [
  {
    name: 'queues',
    everyMs: 10_000,
    run: async () => void (await mendQueues(context, ends.source, await readRelations(ends.source, context.config))),
  },
  { name: 'identity', everyMs: 5_000, run: async () => void (await watchIdentities(context, ends)) },
];

/**
 * Goes on looking, with sessions of its own, while something is done that may take hours. What is found stands as a
 * problem, as ever. Looks that fail are made again and do not end the work, which has its own sessions to fail by.
 */
export async function whileLooking<T>(
  context: Context,
  looks: (looked: Looked) => readonly Duty[],
  work: () => Promise<T>,
): Promise<T> {
  const done = new AbortController();
  const looking = look(context, looks, done.signal);
  try {
    return await work();
  } finally {
    done.abort();
    await looking;
  }
}

async function look(context: Context, looks: (looked: Looked) => readonly Duty[], done: AbortSignal): Promise<void> {
  const pause = (ms: number): Promise<void> => sleep(ms, undefined, { signal: done }).catch(() => undefined);
  await pause(ROUND_MS);
  while (!done.aborted) {
    try {
      await context.with('source', (source) =>
        context.with('target', async (target) => {
          const duties = new Duties(looks({ context, ends: { source, target } }));
          while (!done.aborted) {
            // What the brake has taken off is no finding.
            context.brake.throwIfOff();
            await duties.runDue();
            await pause(ROUND_MS);
          }
        }),
      );
    } catch (error) {
      context.log.warn({ err: error }, 'the ends could not be looked at beside other work');
      await pause(AGAIN_MS);
    }
  }
}
