import type { Context } from './context';
import { isPastNoReturn } from './fence/source';
import type { Phase, PhaseOutcome } from './phase';
import { differingParameters } from './plans/advice';
import { compareStatement, type Comparing, type Comparison } from './plans/compare';
import { PLANS_FACT, type PlansFact } from './plans/fact';
import { readStatements } from './plans/statements';
import { plansTable } from './plans/table';
import { warmTarget } from './plans/warm';

async function run(context: Context): Promise<PhaseOutcome> {
  const source = await context.connect('source');
  if (await isPastNoReturn(source)) {
    return { message: 'nothing to do: the cutover has passed its point of no return; start cutover to go forward' };
  }
  const target = await context.connect('target');
  const { config } = context;
  const warmed = await warmTarget(context, source, target);
  if (warmed)
    await context.evidence('target warmed', warmed.problems.length === 0, `pg_prewarm by ${config.plans.warm}`, warmed);
  context.progress.restart();
  const { statements, without } = await readStatements(source, config.plans);
  const parameters = await differingParameters(source, target);
  const comparing: Comparing = { source, target, config, parameters, spentMs: 0 };
  const comparisons: Comparison[] = [];
  for (const [index, statement] of statements.entries()) {
    context.progress.report(index, statements.length, 'statements', statement.id);
    const comparison = await compareStatement(comparing, statement);
    if (comparison) comparisons.push(comparison);
  }
  const of = (verdict: Comparison['verdict']): Comparison[] => comparisons.filter((one) => one.verdict === verdict);
  const found: PlansFact = {
    at: new Date().toISOString(),
    compared: comparisons.length - of('unknown').length,
    measured: comparisons.filter(({ notMeasured, source: plan }) => notMeasured === undefined && plan?.ms !== undefined).length, // prettier-ignore
    worse: of('worse'),
    failed: of('failed'),
    unknown: of('unknown').length,
    parameters,
    ...(without !== undefined && { without }),
  };
  await context.state.setFact(PLANS_FACT, found);
  await context.evidence('plans', found.failed.length === 0, 'EXPLAIN (ANALYZE, BUFFERS) on both ends', {
    ...found,
    comparisons,
    sourceMs: Math.round(comparing.spentMs),
  });
  process.stdout.write(plansTable(comparisons));
  return {
    message: `${warmed ? `${Math.round(warmed.bytes / 1_000_000)} MB of ${warmed.relations} tables and indexes warmed, ` : ''}${found.compared} statements compared, ${found.measured} measured on both ends, ${found.worse.length} worse on the target, ${found.failed.length} refused there${without === undefined ? '' : `; ${without}`}`,
    result: { ...found, ...(warmed && { warmed }), sourceMs: Math.round(comparing.spentMs) },
  };
}

/** Compares how both ends plan, and how fast they run, the application's most costly statements. */
export const plans: Phase = { name: 'plans', after: ['sync'], once: false, run };
