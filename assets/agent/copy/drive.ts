import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { copiedRelations, Lease, LeaseLost } from '../lease';
import { isLost } from '../lost';
import { COPY_LEASE_FACT, copyTerms, runWorkers } from './beside';
import { endCopies, endPagedCopy } from './end-copy';
import { explainCopy } from './explain';
import type { IndexBuilder } from './index-builder';
import { Lookout, type Complete } from './lookout';
import { planCopy } from './plan-copy';
import { Reconnecting } from './reconnecting';
import { Schedule } from './schedule';
import { openEnds, type Ends } from './sessions';

/** What `copyPending` needs beside the context. */
export interface CopyWork {
  /** What the target lacks, largest first. */
  readonly relations: readonly Relation[];
  readonly source: Client;
  readonly target: Client;
  /** Is given each relation whose rows are there. */
  readonly indexes: IndexBuilder;
  /** Starts a further process that shares the chunks; resolves when it has ended. */
  readonly startBeside: () => Promise<void>;
  /** Pauses between tries of work whose server is gone; milliseconds. */
  readonly pauses: readonly number[];
}

/** How often progress is told and relations are looked for that others have completed; milliseconds. */
const LOOK_MS = 300;

/** Shortest time between two such looks; milliseconds. */
const REST_MS = 50;

/** Relations whose copy is ended by one transaction. */
const ENDED_AT_ONCE = 200;

/** How often it is looked whether a chunk was given back by a process that died; each `LOOK_MS`. */
const LEFT_BEHIND_LOOKS = 200;

/**
 * Copies relations with all workers, ends each as soon as its chunks are there, and returns why some could not be
 * copied, one line each. Throws when nothing more can be done: a server stays away, or another run has taken over.
 */
export async function copyPending(context: Context, copying: CopyWork): Promise<string[]> {
  const { source, target } = copying;
  const { lease, relations } = await takeUncopied(copying);
  await context.state.setFact(COPY_LEASE_FACT, lease.generation);
  const schedule = new Schedule(context.state.client);
  const terms = await copyTerms(context, source, relations, lease);
  await planCopy(context, { source, target, schedule, lease, relations, sourceVersion: terms.sourceVersion });
  const ending = new Ending(context, copying, new Lookout(context.state.client), lease);
  const { processes } = context.config.copy;
  try {
    for (let round = 0; round === 0 || (await schedule.isUnfinished()); round += 1) {
      if (round > LEFT_BEHIND_LOOKS)
        throw new Failure('chunks are still held by another process; end it, start copy again');
      if (round > 0) await sleep(LOOK_MS);
      const others = round === 0 ? Array.from({ length: processes - 1 }, () => copying.startBeside()) : [];
      const all = [runWorkers(context, terms, copying.pauses, ending.chunkCopied), ...others];
      await ending.whileRunning(Promise.allSettled(all));
      // A process beside this one may die: its chunks are copied in the next round. This one may not.
      await all[0];
      for (const other of others)
        await other.catch((error: unknown) => context.log.warn({ cause: oneLine(error) }, 'worker'));
    }
    await ending.look();
  } finally {
    await ending.close();
  }
  return [...(await schedule.failures()).map(({ error }) => error), ...ending.failures];
}

/**
 * Takes the relations, and tells which of them are to be copied. What a restore has committed since they were read, or
 * until it yielded, is not emptied: it counts as copied, and its indexes are built.
 */
export async function takeUncopied({
  relations,
  target,
  indexes,
}: CopyWork): Promise<{ readonly lease: Lease; readonly relations: readonly Relation[] }> {
  const lease = await Lease.take(target, 'copy', relations);
  const copied = await copiedRelations(target);
  for (const relation of relations) if (copied.has(relation.sql)) indexes.add(relation);
  return { lease, relations: relations.filter((relation) => !copied.has(relation.sql)) };
}

/** Looks for relations that are complete, and ends them. */
class Ending {
  readonly failures: string[] = [];
  private readonly byName: ReadonlyMap<string, Relation>;
  private readonly sessions: Reconnecting<Ends>;
  private wake: () => void = () => undefined;

  constructor(
    private readonly context: Context,
    private readonly copying: CopyWork,
    private readonly lookout: Lookout,
    private readonly lease: Lease,
  ) {
    this.byName = new Map(copying.relations.map((relation) => [relation.sql, relation]));
    this.sessions = new Reconnecting(() => openEnds(context), copying.pauses);
    context.progress.restart();
  }

  /** To be called when a chunk is there: indexes of a table that is complete are not to wait for the next look. */
  readonly chunkCopied = (): void => this.wake();

  /** Looks again and again until the workers have ended. */
  async whileRunning(workers: Promise<unknown>): Promise<void> {
    const state = { running: true };
    const end = workers.then(() => (state.running = false));
    let copied = this.nextChunk();
    while (state.running) {
      await Promise.race([end, sleep(LOOK_MS), copied]);
      copied = this.nextChunk();
      await this.look();
      await Promise.race([end, sleep(REST_MS)]);
    }
  }

  private nextChunk(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  async look(): Promise<void> {
    const { complete, progress } = await this.lookout.look();
    // Those that were read by pages are the large ones, whose indexes take longest.
    for (const relation of this.relationsOf(complete.filter(({ byPages }) => byPages))) {
      await this.end([relation], ({ source, target }) => endPagedCopy(source, target, this.lease, relation));
    }
    const whole = this.relationsOf(complete.filter(({ byPages }) => !byPages));
    for (let start = 0; start < whole.length; start += ENDED_AT_ONCE) {
      const some = whole.slice(start, start + ENDED_AT_ONCE);
      await this.end(some, ({ target }, relations) => endCopies(target, this.lease, relations));
    }
    const { bytesDone, bytes, rows, relationsDone, relations: all } = progress;
    const note = `${rows.toLocaleString('en-US')} rows, ${relationsDone} of ${all} tables, ${this.copying.indexes.built} indexes`;
    this.context.progress.report(bytesDone, bytes, 'bytes', note);
  }

  private relationsOf(complete: readonly Complete[]): Relation[] {
    return complete.flatMap(({ relation }) => this.byName.get(relation) ?? []);
  }

  /** What cannot be ended with others is ended alone, so that its failure is its own. */
  private async end(
    relations: readonly Relation[],
    work: (ends: Ends, relations: readonly Relation[]) => Promise<void>,
  ): Promise<void> {
    try {
      await this.sessions.run((ends) => work(ends, relations));
    } catch (error) {
      if (error instanceof LeaseLost) throw error;
      if (relations.length > 1 && !isLost(error)) {
        for (const relation of relations) await this.end([relation], work);
        return;
      }
      for (const relation of relations) this.failures.push(explainCopy(relation, error).message);
      return;
    }
    for (const relation of relations) this.copying.indexes.add(relation);
  }

  close(): Promise<void> {
    return this.sessions.close();
  }
}
