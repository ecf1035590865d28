import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { HostLost } from '../host-volume';
import { isPassing } from '../lost';

/** How long a dump that is complete waits for a server; milliseconds. It took hours, and would be taken anew. */
const PATIENCE_MS = 30 * 60_000;

/** Pauses between two tries; milliseconds. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Asks and notes what belongs to a dump once it is complete. The sessions that were opened before it have been idle for
 * all its time, and may have ended: the work gets a new one on the source, and the state one where it has none any more.
 *
 * @param work is begun anew when a server is away, that of the host too, or the host is full
 * @param patienceMs how long; milliseconds
 */
export async function afterwards(
  context: Context,
  work: (source: Client) => Promise<void>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const began = performance.now();
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    context.brake.throwIfOff();
    try {
      await context.state.renew(context.config.host);
      return await context.with('source', work);
    } catch (error) {
      if (!isPassing(error) && !(error instanceof HostLost)) throw error;
      if (performance.now() - began > patienceMs) {
        throw new Failure(
          `${oneLine(error)}; the dump was complete and is removed all the same, since nobody could be asked for ${Math.round(patienceMs / 60_000)} minutes whether every change was captured; bring that server back, then start dump again`,
          { cause: error },
        );
      }
      context.log.warn({ pause, cause: oneLine(error) }, 'the dump is complete, and waits to be noted');
      await sleep(pause);
    }
  }
}
