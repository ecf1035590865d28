import { refusal, takenOff } from './brake/capture-off';
import { CAPTURE_SCHEMA } from './capture/names';
import { hasSchema } from './catalog/schemas';
import type { Context } from './context';
import { isUnfinished } from './cutover/after-open';
import { moveWrites } from './cutover/move';
import { Failure } from './errors';
import { readFenceState } from './fence/objects';
import { requireStanding, serves } from './fence/standing';
import type { Phase, PhaseOutcome } from './phase';

async function run(context: Context): Promise<PhaseOutcome> {
  const target = await context.connect('target');
  const standing = await requireStanding({ source: await context.connect('source'), target });
  const back = context.turned();
  if (standing.kind === 'passing') {
    if (standing.direction === 'back') return moveWrites(back, true);
    throw new Failure(
      'a cutover has passed its point of no return and has not opened the target yet; start cutover, it goes forward',
    );
  }
  if (standing.end === 'source') {
    // An earlier run has opened the source, and was killed before it had done the rest.
    const left = (await readFenceState(target))?.kind === 'final';
    if (left || (await isUnfinished(back))) return moveWrites(back, true);
    throw new Failure('the source takes the writes: there is nothing to roll back');
  }
  const off = await takenOff(back.state);
  if (off !== undefined) throw refusal(off, 'back');
  if (!(await hasSchema(target, CAPTURE_SCHEMA))) {
    throw new Failure(
      'there is no way back: what is written on the target is not captured, since none was wanted (agent.cutover.wayBack), or it was ended by finalize or cleanup',
    );
  }
  return moveWrites(back, false);
}

/** Moves the writes back to the source, with everything that the target has taken: the cutover the other way. */
export const rollback: Phase = {
  name: 'rollback',
  after: [],
  once: true,
  holds: async (context) => (await serves(context, 'source')) && !(await isUnfinished(context.turned())),
  run,
};
