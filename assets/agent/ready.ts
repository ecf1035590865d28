import { readRelations } from './catalog/relations';
import type { Context } from './context';
import { Failure } from './errors';
import { isPastNoReturn } from './fence/source';
import type { Phase, PhaseOutcome } from './phase';
import { askAll, blocked } from './ready/ask';
import { openAws } from './ready/aws-account';
import { GATES } from './ready/gates';
import { makeSwitches } from './switch/make';
import { gateLine, gateTable } from './ready/table';

async function run(context: Context): Promise<PhaseOutcome> {
  const source = await context.connect('source');
  const target = await context.connect('target');
  if (await isPastNoReturn(source)) {
    return { message: 'nothing to do: the cutover has passed its point of no return; start cutover to go forward' };
  }
  const relations = await readRelations(source, context.config);
  const aws = openAws(context.config);
  const switches = makeSwitches(context);
  const look = { context, source, target, relations, aws, switches, freezing: false };
  const asked = await askAll(GATES, look).finally(() => switches.close());
  await context.state.setFact('ready.gates', asked);
  process.stdout.write(`${gateTable(asked)}\n`);
  const blocks = blocked(asked);
  if (blocks !== undefined) throw new Failure(`not ready for the cutover: ${blocks}`);
  return { message: `ready for the cutover; ${gateLine(asked)}`, result: { gates: asked } };
}

/** Says whether the cutover may begin, with the figure of each condition and what to do; changes nothing. */
export const ready: Phase = { name: 'ready', after: ['verify'], once: false, run };
