import type { SyncRelations } from '../bucardo/configure';
import { possibleSyncs } from '../capture/truncate-triggers';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure } from '../errors';
import type { Ends } from './applier';
import { groupRelations, readTies, readWrites } from './groups';

/** Fact, in the state, of the rows written of each relation when the sync was first asked for, by oid. */
const WRITES_FACT = 'sync.writes';

/** Fact of the relations of each sync that Bucardo was last told of, by the sync's name. */
export const PLAN_FACT = 'sync.plan';

/** Names of relations by sync. */
export type Plan = Readonly<Record<string, readonly string[]>>;

/** Remembers how much was written so far, so that what is written from now on tells the rate. Once. */
export async function beginMeasuring(context: Context, { source }: Ends): Promise<void> {
  if (await context.state.fact(WRITES_FACT)) return;
  await context.state.setFact(WRITES_FACT, Object.fromEntries(await readWrites(source)));
}

async function measured(context: Context, { source }: Ends): Promise<Map<number, number>> {
  const before = (await context.state.fact<Record<string, number>>(WRITES_FACT)) ?? {};
  const now = await readWrites(source);
  const since = new Map([...now].map(([oid, writes]) => [oid, Math.max(0, writes - (before[String(oid)] ?? 0))]));
  const any = [...since.values()].some((writes) => writes > 0);
  return any ? since : now;
}

/**
 * Which sync replicates what, by the settings and by what was written since the sync was first asked for. A group whose
 * tables are all gone since there was a plan keeps the others from nothing.
 */
export async function planSyncs(
  context: Context,
  ends: Ends,
  relations: readonly Relation[],
): Promise<SyncRelations[]> {
  const { sync } = context.config;
  const names = await possibleSyncs(context, ends.source, relations);
  if (names.length === 0) throw new Failure('no sync has its trigger on every relation; start capture');
  const known = (await context.state.fact<Plan>(PLAN_FACT)) ?? {};
  const onEmpty = (patterns: readonly string[]): void =>
    context.log.warn({ patterns }, 'a group of sync.groups has lost its last table, and is left out');
  const groups = sync.groups.slice(0, Math.max(0, names.length - 1));
  const grouped = groupRelations({
    relations,
    ties: await readTies(ends.source),
    writes: await measured(context, ends),
    groups,
    shared: Math.max(1, Math.min(sync.syncs, names.length - groups.length)),
    ...(Object.keys(known).length > 0 && { onEmpty }),
  });
  return grouped.map((members, index) => ({ name: names[index] ?? '', relations: members }));
}

/** The plan as it is kept. */
export const asPlan = (syncs: readonly SyncRelations[]): Plan =>
  Object.fromEntries(syncs.map(({ name, relations }) => [name, relations.map((relation) => relation.sql)]));
