import { OFF_FACT } from './brake/capture-off';
import { CAPTURED_FACT } from './capture/check';
import { CAPTURE_SCHEMA } from './capture/names';
import { dropCapture } from './cleanup/source';
import type { Context } from './context';
import { claimMove } from './cutover/claim';
import { Failure } from './errors';
import { leaveForGood } from './fence/turn';
import { requireStanding } from './fence/standing';
import type { Phase, PhaseOutcome } from './phase';
import { CATALOG_FACT, PROBLEM_FACT, TROUBLE_FACT } from './sync/facts';
import { stopSupervisor } from './sync/supervisor-job';

async function run(context: Context): Promise<PhaseOutcome> {
  const ends = { source: await context.connect('source'), target: await context.connect('target') };
  await claimMove(context);
  const standing = await requireStanding(ends);
  if (standing.kind === 'passing' || standing.end === 'source') {
    throw new Failure('the target does not take the writes: there is no way back to end; start cutover first');
  }
  await stopSupervisor(context.config);
  await leaveForGood(ends.source);
  const triggers = await dropCapture(context, ends.target, CAPTURE_SCHEMA, context.config.capture, 'finalize');
  const back = context.turned();
  for (const fact of [PROBLEM_FACT, CATALOG_FACT, TROUBLE_FACT, OFF_FACT]) await back.state.setFact(fact, null);
  await back.state.setFact(CAPTURED_FACT, {});
  await context.evidence('way back ended', true, 'dropCapture', { triggers });
  return {
    message: `the way back is ended: ${triggers} triggers are off the target; the source stays fenced and is not fed any more`,
    result: { triggers },
  };
}

/** Ends the way back: nothing that is written on the target is captured any more, and a rollback is refused. */
export const finalize: Phase = { name: 'finalize', after: [], once: false, run };
