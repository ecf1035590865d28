import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { readRelations, type Relation } from '../catalog/relations';
import type { Context } from '../context';
import { copiedRelations, prepareLeases, type Lease } from '../lease';
import { columnDifferences } from '../schema/same-columns';
import { inTransaction } from '../schema/tried';
import { cut } from './cuts';
import type { Plan, Schedule } from './schedule';
import { beginPlans, doneChunks, prepareTargetPlan, targetPlans, withRows } from './target-plan';

/** What is to be copied, and what cannot be. */
export interface Pending {
  readonly relations: readonly Relation[];
  /** Why a relation is not to be copied, by its quoted name. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Reads which relations the target lacks, and refuses those that it could not take. */
export async function readPending(context: Context, target: Client, relations: readonly Relation[]): Promise<Pending> {
  await prepareLeases(target, relations);
  await prepareTargetPlan(target);
  const copied = await copiedRelations(target);
  const pending = relations.filter((relation) => !copied.has(relation.sql));
  const there = await readRelations(target, context.config);
  const plans = await targetPlans(target);
  const known = new Set(there.map((relation) => relation.sql));
  const unplanned = pending.filter((relation) => known.has(relation.sql) && !plans.has(relation.sql));
  const filled = await withRows(target, unplanned);
  // Those of a restore beside this one are known to be ours as soon as they are seen.
  const restored = filled.size > 0 ? await copiedRelations(target) : copied;
  const refused = new Map<string, string>();
  for (const relation of pending) {
    const [difference] = columnDifferences([relation], there);
    if (difference !== undefined) {
      const wayOn = known.has(relation.sql) || context.phase !== 'copy' ? 'make both alike' : 'start schema';
      refused.set(relation.sql, `${difference}; ${wayOn}, then start copy again`);
    } else if (filled.has(relation.sql) && !restored.has(relation.sql)) {
      refused.set(
        relation.sql,
        `${relation.sql} on the target holds rows that Ibex did not copy; empty it there (SET session_replication_role = replica; TRUNCATE), then start copy again`,
      );
    }
  }
  return { relations: pending.filter((relation) => !refused.has(relation.sql)), refused };
}

/** What a plan is made from and for. */
export interface Planning {
  readonly source: Client;
  readonly target: Client;
  readonly schedule: Schedule;
  readonly lease: Lease;
  /** What is to be copied, in the order of work. */
  readonly relations: readonly Relation[];
  readonly sourceVersion: number;
}

/**
 * Brings the schedule into line with both ends: a relation whose cut still holds goes on where it was, any other is
 * emptied on the target and cut anew. To be called under a new lease, so that nobody copies meanwhile.
 */
export async function planCopy(
  context: Context,
  { source, target, schedule, lease, relations, sourceVersion }: Planning,
): Promise<void> {
  await schedule.prepare();
  await schedule.keepOnly(relations.map((relation) => relation.sql));
  const files = await readFiles(source, relations);
  const [here, there] = [await schedule.plans(), await targetPlans(target)];
  const isKept = (relation: Relation): boolean => {
    const plan = here.get(relation.sql);
    return plan !== undefined && plan.plan === there.get(relation.sql) && plan.file === files.get(relation.oid);
  };
  const plans: Plan[] = [];
  for (const [rank, relation] of relations.entries()) {
    if (isKept(relation)) continue;
    plans.push({
      relation: relation.sql,
      plan: randomUUID(),
      file: files.get(relation.oid) ?? '',
      rank,
      bytes: relation.bytes,
      parts: await cut(source, relation, sourceVersion, context.config.copy.chunkMegabytes * 1_000_000),
    });
  }
  await schedule.put(plans);
  const begun = new Map(plans.map((plan) => [plan.relation, plan.plan]));
  const anew = relations.flatMap((relation) => {
    const plan = begun.get(relation.sql);
    return plan === undefined ? [] : [{ relation, plan }];
  });
  const filled = await withRows(
    target,
    anew.map(({ relation }) => relation),
  );
  await inTransaction(target, async () => {
    await target.query(`SET LOCAL session_replication_role = 'replica'`);
    await lease.holdAll(target, relations);
    for (const { relation } of anew) {
      if (filled.has(relation.sql)) await target.query(`TRUNCATE ONLY ${relation.sql}`);
    }
    await beginPlans(target, anew);
  });
  await schedule.reconcile(await doneChunks(target));
}

/** The file that holds each relation now, by its oid: a rewritten one has another. */
async function readFiles(source: Client, relations: readonly Relation[]): Promise<Map<number, string>> {
  const { rows } = await source.query(
    'SELECT o::int8 AS oid, pg_relation_filenode(o)::text AS file FROM unnest($1::oid[]) AS o',
    [relations.map((relation) => relation.oid)],
  );
  return new Map((rows as { oid: string; file: string | null }[]).map((row) => [Number(row.oid), row.file ?? '']));
}
