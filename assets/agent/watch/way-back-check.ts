import { refusal, takenOff } from '../brake/capture-off';
import { readLag } from '../bucardo/queues';
import { CAPTURE_SCHEMA } from '../capture/names';
import { readRelations } from '../catalog/relations';
import { hasSchema } from '../catalog/schemas';
import { oneLine } from '../errors';
import { readFenceState } from '../fence/objects';
import { firstOf } from '../ready/gate';
import { standingProblems, TROUBLE_FACT, type Trouble } from '../sync/facts';
import { heldDirection, supervisorRuns, wantedDirection } from '../sync/supervisor-job';
import { ok, warn, type Check, type LookAt } from './finding';

/** Changes that are counted at the most, per relation. */
const COUNTED = 100_000;

/**
 * Why the writes could not be moved back now; undefined when they could. Never throws: an end that cannot be asked is a
 * reason, too.
 */
export async function closedBecause(at: LookAt): Promise<string | undefined> {
  try {
    return await reasonOf(at);
  } catch (error) {
    return oneLine(error);
  }
}

async function reasonOf({ context, config, sessions }: LookAt): Promise<string | undefined> {
  if (config.cutover.wayBack === 'none') return 'none was wanted (agent.cutover.wayBack)';
  const target = await sessions.on('target');
  const off = await takenOff(context.turned().state);
  if (off !== undefined) return refusal(off, 'back').message;
  if (!(await hasSchema(target, CAPTURE_SCHEMA))) return 'it was ended by finalize or cleanup';
  const fence = (await readFenceState(await sessions.on('source')))?.kind ?? 'none';
  if (fence !== 'closed') return `the source is not fed: its fence is "${fence}"`;
  const problems = await standingProblems(context.turned().state);
  return problems.length > 0 ? firstOf(problems) : undefined;
}

/** Whether the writes could be moved back, and how far behind the end is that waits for them. */
export const wayBackCheck: Check = {
  name: 'way back',
  query: 'fence of the source, capture on the target, standingProblems, readLag of the other direction',
  unasked: 'warn',
  ask: async (at) => {
    const { context, config, sessions } = at;
    const closed = await closedBecause(at);
    if (closed !== undefined) {
      // What was chosen is nothing to warn of.
      return config.cutover.wayBack === 'none' ? ok(`none: ${closed}`) : warn('closed', closed);
    }
    const back = context.turned();
    const target = await sessions.on('target');
    const lag = await readLag(target, await readRelations(target, back.config), COUNTED);
    const figure = `open, ${lag.seconds.toFixed(1)} s and ${lag.changes.toLocaleString('en-US')} changes behind`;
    if (heldDirection(config) === 'back')
      return warn(figure, 'a rollback has stopped the feeding of the source, which goes on by itself if that died');
    if (wantedDirection(config) !== 'back')
      return warn(figure, 'nobody is asked to feed the source: start cutover again, which has it fed');
    if (!supervisorRuns(config, 'back')) return warn(figure, 'nobody feeds the source: look at the job supervise');
    const trouble = await back.state.fact<Trouble | null>(TROUBLE_FACT);
    if (trouble) return warn(figure, trouble.message);
    return lag.seconds > config.ready.lagSeconds
      ? warn(figure, `over ${config.ready.lagSeconds} s: a rollback would be refused`)
      : ok(figure);
  },
};
