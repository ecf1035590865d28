import type { Client } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { killBucardo } from '../bucardo/daemon';
import { endSourceSessions } from '../bucardo/login';
import { CAPTURE_SCHEMA } from '../capture/names';
import { hasSchema } from '../catalog/schemas';
import { dropCapture, type Limits } from '../cleanup/source';
import type { Context } from '../context';
import { endDumpers, endPartialDump } from '../dump/partial';
import { Failure, oneLine } from '../errors';
import { OFF_FACT, takenOff } from './capture-off';

/**
 * Takes all triggers off the source, on the way back off the target, table by table, each with a short lock time-out, and
 * gives its disk back. The fact is written first, so that whatever is killed, nobody goes on as if changes were known.
 * Tries until none is left; throws when the source cannot be reached.
 */
export async function takeCaptureOff(context: Context, source: Client, reason: string): Promise<void> {
  for (;;) {
    try {
      return await tryTakeCaptureOff(context, source, reason);
    } catch (error) {
      // The application is hurt as long as a trigger stands: there is no giving up.
      if (!(error instanceof Failure)) throw error;
      context.log.error({ cause: oneLine(error) }, 'capture is not off yet');
      await sleep(1_000);
    }
  }
}

/**
 * The same once. Throws Failure with who was in the way where a table was never free; may be repeated.
 *
 * @param limits of the wait for tables that are busy. @default those of the settings
 */
export async function tryTakeCaptureOff(
  context: Context,
  source: Client,
  reason: string,
  limits: Partial<Limits> = {},
): Promise<void> {
  if ((await takenOff(context.state)) === undefined) {
    await context.state.setFact(OFF_FACT, { reason, at: new Date().toISOString() });
    await context.state.count('brake.off', 1);
  }
  context.log.fatal({ reason }, `capture is taken off, to spare the ${context.real('source')}`);
  await killBucardo(context.config.host);
  await endSourceSessions(source);
  // Its files may take long, or not go: the triggers come first.
  await endDumpers(context.config.host.stateDirectory, source);
  const again = context.direction === 'forward' ? 'cleanup' : 'finalize';
  const triggers = await dropCapture(context, source, CAPTURE_SCHEMA, { ...context.config.capture, ...limits }, again);
  await context.evidence('capture taken off', true, 'dropCapture', { reason, triggers });
  await endPartialDump(context.config.host.stateDirectory, source).catch((err: unknown) =>
    context.log.error({ err }, 'a dump that is not complete could not be removed; cleanup does that'),
  );
}

/** Why capture is taken off that is not gone yet, as after a kill in the midst of it; undefined where nothing is left to do. */
export async function leftToTakeOff({ state }: Context, source: Client): Promise<string | undefined> {
  const reason = await takenOff(state);
  if (reason === undefined) return undefined;
  return (await hasSchema(source, CAPTURE_SCHEMA)) ? reason : undefined;
}
