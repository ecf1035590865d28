import type { Context } from './context';
import { moveWrites } from './cutover/move';
import { Failure } from './errors';
import { requireStanding, serves, standingOrUnknown } from './fence/standing';
import type { Phase, PhaseOutcome } from './phase';

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

/** Stops writes at the source for seconds and opens the target with everything. */
export const cutover: Phase = {
  name: 'cutover',
  after: ['sync', 'verify'],
  once: true,
  holds: (context) => serves(context, 'target'),
  mustGoOn: async (context) => (await standingOrUnknown(context)).kind === 'passing',
  run,
};
