import { checkCapture } from './capture/check';
import { deltaName, CAPTURE_SCHEMA } from './capture/names';
import { readRelations, serverVersion, type Relation } from './catalog/relations';
import { hiddenSchemas } from './catalog/schemas';
import type { Context } from './context';
import { Failure } from './errors';
import { isPastNoReturn } from './fence';
import type { Phase, PhaseOutcome } from './phase';
import { qualified } from './sql';
import { catalogQuery } from './verify/catalog-objects';
import { compareAll, type Comparison } from './verify/compare-all';
import { compareCatalogs, type CatalogComparison } from './verify/compare-catalogs';
import { compareLive } from './verify/compare-live';
import { differing, type RelationComparison } from './verify/comparison';
import { RelationSql } from './verify/relation-sql';

/** How many relations, keys or objects one message names. */
const NAMED = 5;

async function run(context: Context): Promise<PhaseOutcome> {
  const captured = await context.with('source', async (source) => {
    if (await isPastNoReturn(source)) return undefined;
    return checkCapture(context, source);
  });
  if (captured === undefined) {
    return { message: 'nothing to do: the cutover has passed its point of no return; start cutover to go forward' };
  }
  if (captured.length > 0)
    throw new Failure(`changes may have been missed: ${captured.join('; ')}; run cleanup and migrate again`);
  const catalog = await verifyCatalogs(context);
  const relations = await context.with('source', (source) => readRelations(source, context.config));
  const rows = await verifyRows(context, relations);
  const problems = [...problemsOfRows(rows, relations), ...problemsOfCatalogs(catalog)];
  if (problems.length > 0) throw new Failure(problems.join('; '));
  const count = (value: number): string => value.toLocaleString('en-US');
  return {
    message: `${count(rows.rowsCompared)} rows of ${rows.relations} relations are equal on both ends, ${count(rows.inFlight)} in flight, ${rows.seconds.toFixed(1)} s; catalogs agree with ${catalog.warnings.length} warnings`,
    result: {
      rowsCompared: rows.rowsCompared,
      rowsDifferent: rows.rowsDifferent,
      inFlight: rows.inFlight,
      inFlightByRelation: inFlightByRelation(rows),
      relations: rows.relations,
      seconds: rows.seconds,
      catalog,
    },
  };
}

async function verifyCatalogs(context: Context): Promise<CatalogComparison> {
  const { config } = context;
  const [catalog, query] = await context.with('source', (source) =>
    context.with('target', async (target) => [
      await compareCatalogs(source, target, config),
      catalogQuery(await serverVersion(source), false),
    ]),
  );
  const { objects, failures, warnings } = catalog;
  await context.evidence('catalogs agree', failures.length === 0, `${query} with ${hiddenSchemas(config).join()}`, {
    objects,
    failures: failures.slice(0, 100),
    warnings: warnings.slice(0, 100),
  });
  return catalog;
}

async function verifyRows(context: Context, relations: readonly Relation[]): Promise<Comparison> {
  const { verify } = context.config;
  const expected = relations.reduce((sum, relation) => sum + relation.rows, 0);
  context.progress.restart();
  const comparison = await compareAll({
    openSource: () => context.connect('source'),
    openTarget: () => context.connect('target'),
    relations,
    jobs: verify.jobs,
    chunkRows: verify.chunkRows,
    onProgress: ({ rows, relation }) => context.progress.report(rows, Math.max(rows, expected), 'rows', relation),
    compare: (options) => compareLive(options, verify),
  });
  const { rowsCompared, rowsDifferent, inFlight, seconds, notCompared, examples } = comparison;
  const all = notCompared.length === 0;
  await context.evidence('every relation could be compared', all, statementOf(relations), {
    relations: comparison.relations,
    notCompared,
  });
  await context.evidence('every row is equal or in flight', all && rowsDifferent === 0, statementOf(relations), {
    rowsCompared,
    rowsDifferent,
    inFlight,
    inFlightByRelation: inFlightByRelation(comparison),
    seconds,
    examples,
  });
  return comparison;
}

/** The statement that both ends answered for each chunk, as asked of the first relation. */
function statementOf(relations: readonly Relation[]): string {
  const [first] = relations;
  if (!first) return 'no relation';
  return new RelationSql(first, 'hash of the row').sums({ text: 'WHERE key in chunk', values: [] });
}

const inFlightByRelation = (comparison: Comparison): Record<string, number> =>
  Object.fromEntries(
    comparison.comparisons.filter(({ inFlight }) => inFlight > 0).map(({ relation, inFlight }) => [relation, inFlight]),
  );

function problemsOfRows(comparison: Comparison, relations: readonly Relation[]): string[] {
  const different = comparison.comparisons.filter(({ differences }) => differing(differences) > 0);
  return [
    ...firstOf(different, (one) => describeDifferences(one, relations)),
    ...firstOf(comparison.notCompared, ({ relation, cause }) => `${relation} could not be compared: ${cause}`),
  ];
}

function problemsOfCatalogs({ failures }: CatalogComparison): string[] {
  if (failures.length === 0) return [];
  return [
    ...firstOf(failures, (failure) => failure),
    'make them on the target as on the source and start verify again',
  ];
}

function describeDifferences({ relation, differences, keys }: RelationComparison, all: readonly Relation[]): string {
  const counts = Object.entries(differences).filter(([, count]) => count > 0);
  const kinds = counts.map(([kind, count]) => `${count} ${kind}`).join(', ');
  const named = keys.slice(0, NAMED).map(({ key }) => `(${key.join(', ')})`);
  const known = all.find((one) => one.sql === relation);
  const queue = known === undefined ? CAPTURE_SCHEMA : qualified(CAPTURE_SCHEMA, deltaName(known.schema, known.name));
  return `${relation}: ${kinds}, keys ${named.join(' ')}${keys.length > NAMED ? ' …' : ''}; insert these keys into ${queue} on the source, so that they are applied anew, and start verify again`;
}

function firstOf<T>(list: readonly T[], describe: (one: T) => string): string[] {
  const rest = list.length - NAMED;
  return [...list.slice(0, NAMED).map(describe), ...(rest > 0 ? [`and ${rest} more`] : [])];
}

/** Compares every row of both ends while writes go on, and both catalogs. */
export const verify: Phase = { name: 'verify', after: ['sync'], once: false, run };
