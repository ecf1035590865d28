import { wayBackGate } from '../cutover/way-back';
import { block, firstOf, pass, warn, type Gate } from './gate';
import { makeReaderSwitches } from '../switch/make';
import { probeHealth } from './health';

const health: Gate = {
  name: 'application health',
  query: 'ready.health: statements on both ends, and the command',
  again: true,
  forwardOnly: true,
  ask: async ({ context: { config }, source, target }) => {
    const { health: asked } = config.ready;
    const results = await probeHealth(asked, { source, target });
    if (results.length === 0) return warn('nobody asks', 'name statements or a command in agent.ready.health', results);
    const ill = results.filter(({ problem }) => problem !== undefined);
    return ill.length === 0
      ? pass(`${results.length} probes are well`, results)
      : block(firstOf(ill.map(({ end, probe, problem }) => `${end}, ${probe}: ${problem}`)), 'mend that first', results); // prettier-ignore
  },
};

const clientSwitch: Gate = {
  name: 'the way clients move',
  query: 'switches.check of cutover.switches',
  again: true,
  forwardOnly: false,
  ask: async ({ context, switches }) => {
    const to = context.real('target');
    const found = await switches.check(to);
    const problems = found.flatMap((each) => each.problems.map((problem) => `${each.switch}: ${problem}`));
    if (found.length === 0)
      return warn('by hand', 'stand ready: clients cannot write until somebody points them elsewhere', found);
    return problems.length === 0
      ? pass(`to the ${to} by ${firstOf(found.map((each) => each.switch))}`, found)
      : block(firstOf(problems), 'mend that: clients could not be moved', found);
  },
};

const readerSwitch: Gate = {
  name: 'the way readers move',
  query: 'switches.check of cutover.readersFirst',
  again: true,
  forwardOnly: false,
  ask: async ({ context, freezing }) => {
    const { switches: wanted, lagSeconds } = context.config.cutover.readersFirst;
    if (wanted.length === 0) return pass('with the writers', []);
    const to = context.real('target');
    const switches = makeReaderSwitches(context);
    const found = await switches.check(to).finally(() => switches.close());
    const problems = found.flatMap((each) => each.problems.map((problem) => `${each.switch}: ${problem}`));
    if (problems.length > 0) return block(firstOf(problems), 'mend that: readers could not be moved', found);
    const figure = `to the ${to} by ${firstOf(found.map((each) => each.switch))}, before the writers`;
    return freezing
      ? pass(figure, found)
      : warn(figure, `until writes follow they may read a transaction in part, up to ${lagSeconds} s late`, found);
  },
};

const wayBack: Gate = {
  name: 'way back',
  query:
    'wayBackGate: session_replication_role of the source login, columns and large objects of the target, triggers there',
  again: true,
  forwardOnly: true,
  ask: async ({ context, source, target, freezing }) => {
    const { wayBack: wanted, wayBackWithout } = context.config.cutover;
    const { block: why, result } = await wayBackGate(context, { source, target }, freezing);
    if (why !== undefined) return block('not everything could go back', why, result);
    if (wanted === 'none')
      return warn('none, as the settings say', 'a rollback would lose what the target took', result);
    const without = wayBackWithout.length > 0 ? `, but for ${firstOf(wayBackWithout)}, as acknowledged` : '';
    return pass(`${freezing ? 'armed' : 'the cutover will arm it'}${without}`, result);
  },
};

/** What stands around both ends. */
export const SURROUNDINGS_GATES: readonly Gate[] = [health, clientSwitch, readerSwitch, wayBack];
