import { buildIndexes } from './archive/early-indexes';
import { runTasks } from './tasks';
import { readToc } from './archive/toc';
import type { Client } from 'pg';
import { readRelations, type Relation } from './catalog/relations';
import type { Context } from './context';
import { rowArchive } from './dump/partial';
import { damageOf, DumpDamaged, rememberDamage } from './dump/damage';
import { endLeftCopy } from './copy/onetimecopy';
import { prepareTargetPlan } from './copy/target-plan';
import { DUMPED_OIDS_FACT } from './dump/fork';
import { heldBy } from './dump/held';
import { leftOutOf, notDumped } from './dump/left-out';
import { Failure, oneLine } from './errors';
import { concernsAll, inOne } from './failures';
import { copiedRelations, Lease, prepareLeases } from './lease';
import type { Phase, PhaseOutcome } from './phase';
import { noteTarget } from './sync/identity';
import { copyTable, type TableCopy } from './restore/copy-table';

/** Brings the dumped rows to the target, then builds primary keys and plain indexes. */
export const restore: Phase = { name: 'restore', after: ['dump'], once: true, braked: true, run: restoreRows };

/** Restores what is not restored yet. May be repeated at any point. */
export async function restoreRows(context: Context): Promise<PhaseOutcome> {
  const { config } = context;
  const source = await context.connect('source');
  const relations = await readRelations(source, config);
  const workers = (await Promise.all(
    Array.from({ length: Math.max(1, config.restore.jobs) }, () => context.connect('target')),
  )) as [Client, ...Client[]];
  const [target] = workers;
  await endLeftCopy(context, { source, target });
  await noteTarget(context, target);
  await prepareLeases(target, relations);
  const rows = await copyRows(context, workers, relations);
  const indexes = await buildIndexes(context, source, workers, relations);
  await analyze(context, workers, relations);
  const { rows: total } = await target.query('SELECT sum(copied_rows)::text AS sum FROM ibex.relation');
  const all = Number((total[0] as { sum: string | null }).sum ?? 0);
  // A kill between a table's commit and its count leaves the counter behind what the target knows.
  const counted = (await context.state.counters())['rows.copy'] ?? 0;
  if (counted !== all) await context.state.count('rows.copy', all - counted);
  return {
    message: `${all} rows of ${relations.length} tables restored, ${indexes} indexes built`,
    result: { tables: relations.length, rows: all, rowsThisTime: rows, indexes },
  };
}

/**
 * Copies every relation that the target does not call copied, largest first. Returns the rows of this run. One that
 * cannot be copied does not keep the others from it; which those were is thrown at the end.
 */
async function copyRows(context: Context, workers: readonly Client[], relations: readonly Relation[]): Promise<number> {
  const { config, progress, state, log } = context;
  const [target] = workers as [Client, ...Client[]];
  const archive = rowArchive(config.host.stateDirectory);
  const done = await copiedRelations(target);
  const missing = relations.filter((relation) => !done.has(relation.sql));
  if (missing.length === 0) return 0;
  const known = await damageOf(context, archive);
  if (known !== undefined) throw new DumpDamaged(known);
  const { waiting, failures } = await copiesOf(context, { archive, target }, missing);
  await prepareTargetPlan(target);
  const lease = await Lease.take(target, 'copy');
  const expected = Math.max(
    1,
    waiting.reduce((sum, copy) => sum + copy.relation.rows, 0),
  );
  let copied = 0;
  progress.restart();
  const tasks = waiting.map((copy) => ({
    needs: [],
    run: async (worker: Client) => {
      // The dump spares the source already; only what has become useless is not gone on with.
      context.brake.throwIfOff();
      const rows = await copyTable(config, worker, lease, archive, copy, (more) => {
        copied += more;
        progress.report(copied, Math.max(expected, copied), 'rows', copy.relation.sql);
      }).catch((error: unknown) => {
        if (concernsAll(error)) throw error;
        log.error({ relation: copy.relation.sql, err: error }, 'not restored');
        failures.push(error);
      });
      if (rows === undefined) return;
      await state.count('rows.copy', rows);
      log.info({ relation: copy.relation.sql, rows }, 'restored');
    },
  }));
  try {
    await runTasks(tasks, workers);
  } finally {
    const damage = failures.find((failure) => failure instanceof DumpDamaged);
    if (damage) await rememberDamage(context, damage);
  }
  if (failures.length > 0) throw inOne(failures);
  return copied;
}

/** Relations with their entries in the dump, and a failure for each that is not in it, or not on the target. */
async function copiesOf(
  context: Context,
  { archive, target }: { readonly archive: string; readonly target: Client },
  relations: readonly Relation[],
): Promise<{ readonly waiting: readonly TableCopy[]; readonly failures: unknown[] }> {
  const entries = await readToc(context.config, archive).catch(async (error: unknown) => {
    if (!oneLine(error).startsWith('pg_restore failed')) throw error;
    const damage = new DumpDamaged(`the dump ${archive} is damaged: ${oneLine(error)}`);
    await rememberDamage(context, damage);
    throw damage;
  });
  const data = new Map(
    entries
      .filter((entry) => entry.classOid === 0 && entry.text.startsWith('TABLE DATA '))
      .map((entry) => [entry.oid, entry] as const),
  );
  const dumped = (await context.state.fact<Readonly<Record<string, number>>>(DUMPED_OIDS_FACT)) ?? {};
  const leftOut = await leftOutOf(context);
  const isHeld = await heldBy(context);
  const there = new Set((await readRelations(target, context.config)).map((relation) => relation.sql));
  const waiting: TableCopy[] = [];
  const failures: unknown[] = [];
  for (const relation of relations) {
    const entry = isHeld(relation) ? data.get(dumped[relation.sql] ?? relation.oid) : undefined;
    const why = leftOut[relation.sql];
    if (entry && there.has(relation.sql)) waiting.push({ relation, entry });
    else if (entry) failures.push(undefinedThere(relation));
    else if (why !== undefined) failures.push(notDumped(relation.sql, why));
    else failures.push(absent(relation, archive));
  }
  return { waiting, failures };
}

const absent = ({ sql }: Relation, archive: string): Failure =>
  new Failure(
    `${sql} is not in the dump ${archive}: it was made or renamed after the dump began, or emptied on the target since; remove that directory, start schema, capture, dump and restore again; what is restored is kept`,
  );

const undefinedThere = ({ sql }: Relation): Failure =>
  new Failure(`${sql} is missing on the target; start schema, then restore again; what is restored is kept`);

async function analyze(context: Context, workers: readonly Client[], relations: readonly Relation[]): Promise<void> {
  let done = 0;
  context.progress.restart();
  const tasks = relations.map((relation) => ({
    needs: [],
    run: async (worker: Client) => {
      await worker.query(`ANALYZE ${relation.sql}`);
      context.progress.report((done += 1), relations.length, 'tables analyzed', relation.sql);
    },
  }));
  await runTasks(tasks, workers);
}
