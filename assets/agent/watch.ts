import type { Context } from './context';
import type { Phase, PhaseOutcome } from './phase';
import { readRecord } from './watch/record';
import { Watch } from './watch/watch';

async function run(context: Context): Promise<PhaseOutcome> {
  if (context.config.watch.seconds === 0) return { message: 'not wanted (agent.watch.seconds is 0)' };
  return (await Watch.open(context)).toEnd();
}

/**
 * Watches the target once it takes the writes, look after look, and moves the writes back by itself where that is set.
 * Its time is that of one cutover: started again it goes on with what is left, and after another cutover it begins anew.
 */
export const watch: Phase = {
  name: 'watch',
  after: [],
  once: true,
  holds: async ({ state }) => (await readRecord(state)).ended !== undefined,
  run,
};
