import { PRE_DATA, restoredEntries } from './archive/restored';
import { makeSchemaArchive } from './archive/schema-dump';
import { readRelations, type Relation } from './catalog/relations';
import type { Context } from './context';
import { Failure } from './errors';
import { closeTarget } from './fence/target';
import { requireStanding } from './fence/standing';
import { prepareLeases } from './lease';
import { ensureMigratorLogin } from './migrator-login';
import type { Phase, PhaseOutcome } from './phase';
import { defineNew } from './schema/define-new';
import { restorePreData } from './schema/pre-data';
import { copyRoles } from './schema/roles';
import { columnDifferences } from './schema/same-columns';
import { readForeignOwners, readSourceRoles } from './schema/source-roles';

/** Brings the source's definitions to the target: roles, schemas, types, tables, views, functions, owners, grants. */
export const schema: Phase = { name: 'schema', after: ['assess'], once: true, holds, run: copySchema };

/** A table that came since is to be defined as long as rows are brought; after that, `add` takes it in. */
async function holds(context: Context): Promise<boolean> {
  const phases = await context.state.phases();
  if (phases.some(({ name, status }) => ['restore', 'copy'].includes(name) && status === 'succeeded')) return true;
  const read = (end: 'source' | 'target'): Promise<Relation[]> =>
    context.with(end, (client) => readRelations(client, context.config));
  return missingOf(await read('source'), await read('target')).length === 0;
}

/** Copies the definitions. May be repeated at any point: what is there is kept, and what is new on the source is made. */
export async function copySchema(context: Context): Promise<PhaseOutcome> {
  const { config, log } = context;
  const source = await context.connect('source');
  await ensureMigratorLogin(context);
  const target = await context.connect('target');
  const standing = await requireStanding({ source, target });
  if (standing.kind !== 'serves' || standing.end === 'target') {
    throw new Failure('writes have been moved to the target already: it must not be closed; start cutover or rollback');
  }
  const isDefined = (await restoredEntries(target)).has(PRE_DATA);
  const archive = isDefined ? undefined : await makeSchemaArchive(context);
  const relations = await readRelations(source, config);
  const needed = await readSourceRoles(source, config);
  const roles = await copyRoles(target, config, needed);
  const names = needed.map((role) => role.name);
  const owners = await readForeignOwners(source, config);
  const plan = { owners, roles: names };
  const preData = archive === undefined ? undefined : await restorePreData(context, source, target, archive, plan);
  if (isDefined) await defineNew(context, { source, target });
  const there = await readRelations(target, config);
  const differences = columnDifferences(relations, there);
  await context.evidence('same columns and types', differences.length === 0, 'readRelations on both ends', {
    relations: relations.length,
    differences: differences.slice(0, 20),
  });
  if (differences.length > 0) {
    const wayOn = missingOf(relations, there).length > 0 ? RENAMED : '';
    throw new Failure(`${differences.slice(0, 5).join('; ')}${more(differences.length - 5)}${wayOn}; see the log`);
  }
  await prepareLeases(target, relations);
  await closeTarget(context, target);
  const warnings = [...roles.warnings, ...(preData?.warnings ?? [])];
  for (const warning of warnings) log.warn(warning);
  const logins = roles.withoutPassword.length;
  return {
    message: `${relations.length} tables defined, ${roles.created.length} roles created (${logins} logins without a password), ${warnings.length} warnings`,
    result: { tables: relations.length, roles, ...(preData && { entries: preData.entries }), warnings },
  };
}

const more = (count: number): string => (count > 0 ? ` and ${count} more` : '');

const RENAMED = '; what was renamed on the source is to be renamed there too, and emptied; then start schema again';

/** Relations of the source that the target has not. */
function missingOf(source: readonly Relation[], target: readonly Relation[]): readonly Relation[] {
  const there = new Set(target.map((relation) => relation.sql));
  return source.filter((relation) => !there.has(relation.sql));
}
