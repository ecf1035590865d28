import type { AgentConfig } from '../config';
import { Context } from '../context';
import { openSource } from '../fence/source';
import { standingOrUnknown } from '../fence/standing';
import { makeReaderSwitches, makeSwitches } from '../switch/make';
import { requireDone, type Switches } from '../switch/switches';
import { tryClaimMove } from './claim';

/** Who can be at the end that is to take over while the other one still serves. */
export type Led = 'clients' | 'readers';

/** Fact that an attempt is about to lead them there, or has; set before it does anything, so that a kill leaves it. */
const FACTS: Readonly<Record<Led, string>> = { clients: 'cutover.clientsLed', readers: 'cutover.readersLed' };

/** Remembers whether they may be at the end that takes over. */
export const setLed = ({ state }: Context, who: Led, led: boolean): Promise<void> =>
  state.setFact(FACTS[who], led ? true : null);

const areLed = async ({ state }: Context, who: Led): Promise<boolean> => (await state.fact(FACTS[who])) === true;

/**
 * Puts back, to the end that serves, whom an attempt that died has left at the other one: by every switch when the host
 * remembers that, else by those that can tell where they lead. Throws Failure when one of them cannot.
 */
export async function leadHome(context: Context, who: Led, switches: Switches): Promise<void> {
  const serves = context.real('source');
  const done = await switches.home(serves, await areLed(context, who));
  if (done.length > 0) {
    const isBack = done.every(({ problem }) => problem === undefined);
    await context.evidence(`${who} are back`, isBack, 'switches.home', done);
    requireDone(
      done,
      `the ${serves} takes the writes; mend that, and start ${context.phase} again; where it cannot be mended lead them there by hand, and take that switch out of agent.cutover before`,
    );
  }
  await setLed(context, who, false);
}

/**
 * The same by the host itself, when a cutover or rollback died before its point of no return, as when the host lost its
 * power: whoever it led away cannot write until he is back. Does nothing while one runs, or where one has to go forward.
 * Throws what failed.
 */
export async function leadHomeUnasked(config: AgentConfig, phase: string): Promise<void> {
  const { switches, readersFirst } = config.cutover;
  if (switches.length + readersFirst.switches.length === 0) return;
  const context = await Context.create(config, phase);
  try {
    for (const facing of [context, context.turned()]) {
      const someLed = async (): Promise<boolean> =>
        (await areLed(facing, 'clients')) || (await areLed(facing, 'readers'));
      // Asked again with the claim: whoever had it until now may have brought them where they belong.
      if (!(await someLed()) || !(await tryClaimMove(context)) || !(await someLed())) continue;
      const standing = await standingOrUnknown(context);
      if (standing.kind !== 'serves' || standing.end !== facing.real('source')) continue;
      await leadLedHome(facing);
    }
  } catch (error) {
    context.log.error({ err: error }, 'clients whom an attempt that died has led away could not be led back');
    throw error;
  } finally {
    await context.close();
  }
}

/**
 * The same for whoever has claimed the move, before the end that does not serve is opened: who is still led there would write
 * beside the others. Does nothing where nobody is remembered as led. Throws Failure when one of them cannot be led back.
 *
 * @param facing the way of the attempt, whose source serves
 */
export async function leadLedHome(facing: Context): Promise<void> {
  if ((await areLed(facing, 'clients')) || (await areLed(facing, 'readers'))) await facing.with('source', openSource);
  await homeBy(facing, 'clients', makeSwitches(facing));
  await homeBy(facing, 'readers', makeReaderSwitches(facing));
}

async function homeBy(context: Context, who: Led, switches: Switches): Promise<void> {
  try {
    if (await areLed(context, who)) await leadHome(context, who, switches);
  } finally {
    switches.close();
  }
}
