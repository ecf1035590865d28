import { inspectCapture } from './capture/check';
import { wayOnOf } from './capture/way-on';
import { readRelations, serverVersion } from './catalog/relations';
import { hiddenSchemas } from './catalog/schemas';
import type { Context } from './context';
import { Failure } from './errors';
import { listed } from './failures';
import { isPastNoReturn } from './fence/source';
import type { Phase, PhaseOutcome } from './phase';
import type { Ends } from './sync/applier';
import { clearIdentity, watchIdentities } from './sync/identity';
import { catalogQuery } from './verify/catalog-objects';
import { untilComparedAgain } from './verify/dirty/compared-again';
import { checkKeyIndexes } from './verify/index-checks';
import { verifySequences } from './verify/compare-sequences';
import { compareCatalogs, type CatalogComparison } from './verify/compare-catalogs';
import { problemsOfCatalogs, problemsOfRows } from './verify/problems';
import { inFlightByRelation, verifyRows } from './verify/rows';

async function run(context: Context): Promise<PhaseOutcome> {
  if (await context.with('source', isPastNoReturn)) {
    return { message: 'nothing to do: the cutover has passed its point of no return; start cutover to go forward' };
  }
  await requireCapture(context);
  const identities = await withEnds(context, (ends) => watchIdentities(context, ends));
  const catalog = await verifyCatalogs(context);
  const relations = await context.with('source', (source) => readRelations(source, context.config));
  const sequences = await lookAtSequences(context);
  const indexes = await checkKeyIndexes(context, relations);
  const { comparison: rows, repairedKeys } = await verifyRows(context, relations);
  const problems = [
    ...indexes.problems,
    ...problemsOfRows(rows, repairedKeys > 0),
    ...problemsOfCatalogs(catalog),
    ...sequences,
  ];
  if (problems.length > 0) throw new Failure(problems.join('; '));
  await withEnds(context, (ends) => clearIdentity(context, ends, identities));
  const keysLeft = await untilComparedAgain(context, relations);
  const count = (value: number): string => value.toLocaleString('en-US');
  const unchecked = context.config.verify.sequentialCheck === 'never' ? '; key indexes were not checked' : '';
  const repaired = repairedKeys > 0 ? `, ${count(repairedKeys)} repaired` : '';
  return {
    message: `${count(rows.rowsCompared)} rows of ${rows.relations} relations are equal on both ends, ${count(rows.inFlight)} in flight${repaired}, ${rows.seconds.toFixed(1)} s; catalogs agree with ${catalog.warnings.length} warnings${unchecked}`,
    result: {
      rowsCompared: rows.rowsCompared,
      rowsDifferent: rows.rowsDifferent,
      inFlight: rows.inFlight,
      inFlightByRelation: inFlightByRelation(rows),
      repairedKeys,
      indexesChecked: indexes.checked,
      relations: rows.relations,
      seconds: rows.seconds,
      keysLeft,
      catalog,
    },
  };
}

const withEnds = <T>(context: Context, work: (ends: Ends) => Promise<T>): Promise<T> =>
  context.with('source', (source) => context.with('target', (target) => work({ source, target })));

async function requireCapture(context: Context): Promise<void> {
  const [relations, problems] = await context.with('source', async (source) => {
    const all = await readRelations(source, context.config);
    return [all, (await inspectCapture(context, source, all)).problems];
  });
  const lines = [...problems.values()];
  await context.evidence('capture in place', lines.length === 0, 'inspectCapture: pg_trigger of every relation', {
    relations: relations.length,
    problems: lines.slice(0, 20),
  });
  if (lines.length === 0) return;
  const wayOn = await context.with('target', (target) => wayOnOf(context, target, problems, relations));
  throw new Failure(`${listed(lines)}; ${wayOn}`);
}

async function verifyCatalogs(context: Context): Promise<CatalogComparison> {
  const { config } = context;
  const [catalog, query] = await withEnds(context, async ({ source, target }) => [
    await compareCatalogs(source, target, config),
    catalogQuery(await serverVersion(source)),
  ]);
  const { objects, failures, warnings } = catalog;
  await context.evidence('catalogs agree', failures.length === 0, `${query} with ${hiddenSchemas(config).join()}`, {
    objects,
    failures: failures.slice(0, 100),
    warnings: warnings.slice(0, 100),
  });
  return catalog;
}

async function lookAtSequences(context: Context): Promise<string[]> {
  const problems = await withEnds(context, ({ source, target }) => verifySequences(source, target, context.config));
  await context.evidence('no sequence is behind', problems.length === 0, 'forwardSequences, sequencesBehind', problems);
  return problems;
}

/**
 * Compares every row of both ends while writes go on, both catalogs, the sequences, and key indexes with their tables; then
 * waits until what was changed meanwhile is compared too, but for what may be left to the pause.
 */
export const verify: Phase = { name: 'verify', after: ['sync'], once: false, braked: true, run };
