import type { Context } from '../context';
import type { End } from '../endpoints';
import { Failure } from '../errors';
import type { Switches } from './switches';

/** Gate: every switch could move the clients to this end now. Throws Failure with all that stands in the way. */
export async function requireReady(context: Context, switches: Switches, to: End): Promise<void> {
  const found = await switches.check(to);
  const problems = found.flatMap((each) => each.problems.map((problem) => `${each.switch}: ${problem}`));
  await context.evidence('switches ready', problems.length === 0, 'switches.check', found);
  if (problems.length > 0) throw new Failure(`clients could not be moved to the ${to}: ${problems.join('; ')}`);
}
