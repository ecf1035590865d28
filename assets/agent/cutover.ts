import { CAPTURE_SCHEMA } from './capture/names';
import { hasSchema } from './catalog/schemas';
import type { Context } from './context';
import { isUnfinished } from './cutover/after-open';
import { moveWrites } from './cutover/move';
import { Failure } from './errors';
import { readFenceState } from './fence/objects';
import { requireStanding, serves, standingOrUnknown } from './fence/standing';
import type { Phase, PhaseOutcome } from './phase';
import { wantedDirection } from './sync/supervisor-job';
import { OPENED_FACT } from './watch/record';

async function run(context: Context): Promise<PhaseOutcome> {
  const standing = await requireStanding({
    source: await context.connect('source'),
    target: await context.connect('target'),
  });
  if (standing.kind === 'passing' && standing.direction === 'back') {
    throw new Failure('a rollback has passed its point of no return; start rollback, it goes forward');
  }
  return moveWrites(context, standing.kind === 'passing' || standing.end === 'target');
}

/**
 * Whether the source waits for what the target takes and captures, and nobody feeds it: that could not be begun, or the host
 * has lost its volume since. No where an end cannot be asked.
 */
async function isUnfed(context: Context): Promise<boolean> {
  const { config } = context;
  if (config.cutover.wayBack === 'none') return false;
  if (wantedDirection(config) === 'back' && !(await isUnfinished(context))) return false;
  const standing = await standingOrUnknown(context);
  if (standing.kind !== 'serves' || standing.end !== 'target') return false;
  return context.with('source', async (source) => {
    const fence = (await readFenceState(source))?.kind;
    // One that is left for good waits for nothing, unless the host died, with its memory, before it had that one wait.
    const isKnown = (await context.state.fact<string>(OPENED_FACT)) !== undefined;
    if (fence !== 'closed' && (fence !== 'final' || isKnown)) return false;
    return context.with('target', (target) => hasSchema(target, CAPTURE_SCHEMA));
  });
}

/** Stops writes at the source for seconds and opens the target with everything. */
export const cutover: Phase = {
  name: 'cutover',
  after: ['sync', 'verify'],
  once: true,
  holds: async (context) => (await serves(context, 'target')) && !(await isUnfed(context)),
  mustGoOn: async (context) => (await standingOrUnknown(context)).kind === 'passing' || (await isUnfed(context)),
  run,
};
