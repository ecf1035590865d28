import type { Context } from './context';
import { Failure } from './errors';
import { standingOrUnknown } from './fence/standing';
import type { Phase, PhaseOutcome } from './phase';
import { readRecord } from './watch/record';
import { Watch } from './watch/watch';

async function run(context: Context): Promise<PhaseOutcome> {
  if (context.config.watch.seconds > 0) return (await Watch.open(context)).toEnd();
  if (await isMovedBack(context))
    throw new Failure('the source takes the writes: there is nothing to watch; start cutover');
  return { message: 'not wanted (agent.watch.seconds is 0)' };
}

/** Whether the source serves beside a target that waits. Once both ends are cleaned, their fences tell nothing any more. */
async function isMovedBack(context: Context): Promise<boolean> {
  const standing = await standingOrUnknown(context);
  return standing.kind === 'serves' && standing.end === 'source' && standing.begun;
}

/**
 * Watches the target once it takes the writes, look after look, and moves the writes back by itself where that is set.
 * Its time is that of one cutover: started again it goes on with what is left, and after another cutover it begins anew.
 */
export const watch: Phase = {
  name: 'watch',
  after: [],
  once: true,
  holds: async (context) => (await readRecord(context.state)).ended !== undefined && !(await isMovedBack(context)),
  run,
};
