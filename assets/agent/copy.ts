import type { Client } from 'pg';
import { checkCapture } from './capture/check';
import { readRelations, type Relation } from './catalog/relations';
import { withoutStatistics } from './catalog/statistics';
import type { Context } from './context';
import { startBeside } from './copy/beside';
import { copyPending, type CopyWork } from './copy/drive';
import { IndexBuilder } from './copy/index-builder';
import { copyByBucardo, endLeftCopy } from './copy/onetimecopy';
import { readPending } from './copy/plan-copy';
import { PAUSES_MS } from './copy/reconnecting';
import { copiedRows } from './copy/target-plan';
import { endPartialDump } from './dump/partial';
import { Failure } from './errors';
import { listed } from './failures';
import { Jobs } from './job';
import { copiedRelations } from './lease';
import type { Phase, PhaseOutcome } from './phase';
import { columnDifferences } from './schema/same-columns';
import { noteTarget } from './sync/identity';

/** Brings the rows from server to server, chunk by chunk, and builds primary keys and plain indexes. */
export const copy: Phase = {
  name: 'copy',
  after: ['capture'],
  once: true,
  braked: true,
  run: (context) =>
    copyAll(context, PROBES, context.config.copy.method === 'onetimecopy' ? copyByBucardo : copyPending),
};

/** What the copy asks of the outside; replaced in tests. */
export interface CopyProbes {
  /** Relations whose changes are not captured, one line each. */
  readonly checkCapture: (context: Context, source: Client) => Promise<string[]>;
  /** Starts a further process that shares the chunks; resolves when it has ended. */
  readonly startBeside: () => Promise<void>;
  /** Pauses between tries of work whose server is gone; milliseconds. */
  readonly pauses: readonly number[];
}

const PROBES: CopyProbes = { checkCapture, startBeside, pauses: PAUSES_MS };

/**
 * Copies what is not copied yet. May be repeated at any point.
 *
 * @param bring brings the rows of those relations, and returns why some could not be copied, one line each
 */
export async function copyAll(
  context: Context,
  probes: CopyProbes = PROBES,
  bring: (context: Context, work: CopyWork) => Promise<string[]> = copyPending,
): Promise<PhaseOutcome> {
  const source = await context.connect('source');
  const target = await context.connect('target');
  await endLeftCopy(context, { source, target });
  await noteTarget(context, target);
  if (!new Jobs(context.config).isRunning('dump')) await endPartialDump(context.config.host.stateDirectory, source);
  await requireCapture(context, source, probes, 'before the copy; start capture, then copy again');
  const relations = await readRelations(source, context.config);
  const pending = await readPending(context, target, relations);
  const failures = [...pending.refused.values()];
  const indexes = await IndexBuilder.open(context, source, target, relations, probes.pauses);
  try {
    const isWaiting = new Set([...pending.relations.map((relation) => relation.sql), ...pending.refused.keys()]);
    const bare = new Set((await withoutStatistics(target, context.config)).map((table) => table.sql));
    for (const relation of relations) {
      if (!isWaiting.has(relation.sql)) indexes.add(relation, !bare.has(relation.sql));
    }
    if (pending.relations.length > 0) {
      failures.push(...(await bring(context, { ...probes, ...pending, source, target, indexes })));
    }
    await indexes.finish(await uncopied(context, relations));
  } catch (error) {
    await countRows(context).catch((other: unknown) => context.log.warn({ err: other }, 'rows are not counted'));
    throw error;
  } finally {
    await indexes.close();
  }
  await countRows(context);
  failures.push(...indexes.failures, ...(await altered(context, relations)));
  await context.with('source', (fresh) =>
    requireCapture(context, fresh, probes, 'after the copy; remove the cause, start capture, then copy again'),
  );
  const rows = (await context.state.counters())['rows.copy'] ?? 0;
  const result = { tables: relations.length, rows, indexes: indexes.built };
  await context.evidence('all rows copied', failures.length === 0, 'ibex.chunk', { ...result, failures });
  if (failures.length > 0) throw new Failure(listed(failures));
  return { message: `${rows} rows of ${relations.length} tables copied, ${indexes.built} indexes built`, result };
}

/** A change that nobody recorded while its table was copied would be lost, so the phase stops by the table's name. */
async function requireCapture(context: Context, source: Client, probes: CopyProbes, when: string): Promise<void> {
  const problems = await probes.checkCapture(context, source);
  if (problems.length === 0) return;
  throw new Failure(`changes are not captured ${when}: ${listed(problems)}`);
}

/** Oids of the relations that have no indexes yet, because their rows are not there. */
async function uncopied(context: Context, relations: readonly Relation[]): Promise<Set<number>> {
  const copied = await context.with('target', (target) => copiedRelations(target));
  return new Set(relations.filter((relation) => !copied.has(relation.sql)).map((relation) => relation.oid));
}

/** The counter follows what the target knows: a kill may come between a chunk's commit and its count. */
async function countRows(context: Context): Promise<void> {
  const rows = await context.with('target', (target) => copiedRows(target));
  const counted = (await context.state.counters())['rows.copy'] ?? 0;
  if (counted !== rows) await context.state.count('rows.copy', rows - counted);
}

/** A table whose columns were changed while it was copied, one line each. */
async function altered(context: Context, relations: readonly Relation[]): Promise<string[]> {
  const now = await context.with('source', (source) => readRelations(source, context.config));
  const there = await context.with('target', (target) => readRelations(target, context.config));
  const names = new Set(relations.map((relation) => relation.sql));
  const known = now.filter((relation) => names.has(relation.sql));
  return columnDifferences(known, there).map((line) => `${line}: it was altered while it was copied; make both alike`);
}
