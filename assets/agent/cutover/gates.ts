import type { Client } from 'pg';
import { readLag } from '../bucardo/queues';
import { checkCapture } from '../capture/check';
import type { Relation } from '../catalog/relations';
import { missingConstraints } from '../constraints';
import type { Context } from '../context';
import { Failure } from '../errors';
import { fenceGaps } from '../fence';
import { readFenceState } from '../fence/objects';
import { watchCatalog } from '../sync/catalog-watch';
import { standingProblems } from '../sync/facts';
import { watchIdentity } from '../sync/identity';
import { supervisorRuns } from '../sync/supervisor-job';
import { wayBackGate } from './way-back';

/** Longest lag with which a cutover may begin; seconds. What is left then is applied within the pause. */
const LAG_LIMIT_SECONDS = 30;

/**
 * Everything that must hold before writes are stopped. All gates are asked, all answers kept; Failure names each that
 * blocks.
 */
export async function passGates(
  context: Context,
  source: Client,
  target: Client,
  relations: readonly Relation[],
): Promise<void> {
  const blocks: string[] = [];
  const gate = async (
    name: string,
    query: string,
    look: () => Promise<{ block?: string; result: unknown }>,
  ): Promise<void> => {
    const { block, result } = await look();
    await context.evidence(name, block === undefined, query, result);
    if (block !== undefined) blocks.push(block);
  };
  const problems = await checkCapture(context, source);
  blocks.push(...problems);
  await watchIdentity(context, source);
  await watchCatalog(context, source);
  await gate('sync healthy', 'standingProblems', async () => {
    const problems = await standingProblems(context.state);
    return problems.length > 0 ? { block: problems.join('; '), result: problems } : { result: null };
  });
  await gate('lag', 'readLag', async () => {
    // After an attempt that was killed nobody applies; the catch-up that follows is then what brings it near.
    if (!supervisorRuns(context.config, context.direction))
      return { result: 'the sync does not run; catch-up comes first' };
    const lag = await readLag(source, relations);
    const block =
      lag.seconds > LAG_LIMIT_SECONDS
        ? `the ${context.real('target')} is ${lag.seconds.toFixed(0)} s behind; wait`
        : undefined;
    return { ...(block !== undefined && { block }), result: lag };
  });
  // Everything stands on an end that has served, and no archive was restored there.
  if (context.direction === 'forward') {
    await gate('way back armed', 'wayBackGate', () => wayBackGate(context, { source, target }));
    await gate('constraints complete', 'missingConstraints', async () => {
      const missing = await missingConstraints(context, target);
      return {
        ...(missing > 0 && { block: `${missing} objects are not yet on the target; start sync again` }),
        result: missing,
      };
    });
  }
  await gate('target closed', 'readFenceState, fenceGaps', async () => {
    const state = await readFenceState(target);
    if (state?.kind !== 'closed') {
      return { block: `the ${context.real('target')} is not closed to writes; start schema again`, result: state };
    }
    const gaps = await fenceGaps(target);
    const block = `the ${context.real('target')} may have taken writes: ${gaps.slice(0, 5).join(', ')}; ENABLE TRIGGER ibex_fence there, or start schema again, then verify`;
    return { ...(gaps.length > 0 && { block }), result: { state, gaps } };
  });
  await gate('no prepared transaction', 'pg_prepared_xacts', async () => {
    const { rows } = await source.query('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()');
    const block =
      rows.length > 0
        ? `${rows.length} prepared transactions are open on the ${context.real('source')}; finish them`
        : undefined;
    return { ...(block !== undefined && { block }), result: rows };
  });
  if (blocks.length > 0) throw new Failure(`${context.phase} cannot begin: ${blocks.join('; ')}`);
}
