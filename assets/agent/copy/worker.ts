import type { Client } from 'pg';
import { copiedColumns } from '../catalog/relations';
import type { Context } from '../context';
import { Failure, oneLine } from '../errors';
import { HostLost } from '../host-volume';
import { LeaseLost } from '../lease';
import { isPassing } from '../lost';
import { identList } from '../sql';
import { copyChunk, type CopyTerms } from './copy-chunk';
import { rowsOf } from './cuts';
import { explainCopy } from './explain';
import { GivenBack } from './give-way';
import { isTooLong, largestRow } from './largest-row';
import { MOST_WAITED } from './pieces';
import { Reconnecting } from './reconnecting';
import { Schedule, type Chunk } from './schedule';
import { openEnds, type Ends } from './sessions';
import { isUnreadable, unreadableRow } from './unreadable-row';

/** What a worker is told. */
export interface WorkerOptions {
  readonly terms: CopyTerms;
  /** A session on the host's database, for the worker alone. */
  readonly host: Client;
  /** Pauses between tries of a chunk whose server is gone; milliseconds. */
  readonly pauses: readonly number[];
  /** Told of each chunk that is there. */
  readonly onCopied: () => void;
}

/**
 * Copies chunk after chunk until none is left to take. What fails for good fails its relation alone, and is noted in the
 * schedule; the worker goes on with the others. Throws when a server stays away, or another run has taken over.
 */
export async function work(context: Context, options: WorkerOptions): Promise<void> {
  const { terms, host, pauses, onCopied } = options;
  const schedule = new Schedule(host);
  const sessions = new Reconnecting(() => openEnds(context), pauses);
  try {
    await context.brake.clear();
    for (let chunk = await schedule.take(); chunk; chunk = await schedule.take()) {
      if (await oneChunk(context, terms, schedule, sessions, chunk)) onCopied();
      await context.brake.clear();
    }
  } finally {
    await sessions.close();
  }
}

const neverFree = (times: number, waiter: string): Failure =>
  new Failure(
    `its chunk was given back ${times} times, in ever smaller pieces where its key allows that, because others wait for its lock, at last ${waiter}; keep such statements away meanwhile, or raise brake.lockWaitMs`,
  );

/** Returns whether the chunk is settled; one that was given back is to be taken again. */
async function oneChunk(
  context: Context,
  terms: CopyTerms,
  schedule: Schedule,
  sessions: Reconnecting<Ends>,
  chunk: Chunk,
): Promise<boolean> {
  const name = { relation: chunk.relation, chunk: chunk.number };
  const relation = terms.relations.get(chunk.relation);
  if (!relation) {
    await schedule.failed(chunk.relation, `${chunk.relation} is gone from the source; start copy again`);
    return true;
  }
  try {
    const copied = await sessions.run(
      ({ source, target }) => copyChunk(source, target, terms, relation, chunk),
      (error, pause) => context.log.warn({ ...name, pause, cause: oneLine(error) }, 'interrupted'),
    );
    await schedule.done(chunk, 'known' in copied ? copied.known : copied.rows);
    context.log.info({ ...name, ...copied }, 'copied');
    return true;
  } catch (error) {
    // No fault of this relation's, and the schedule cannot be told.
    if (error instanceof HostLost) throw error;
    if (error instanceof GivenBack) {
      context.log.warn({ ...name, cause: oneLine(error) }, 'given back');
      const times = chunk.waited + 1;
      if (error.waiter !== undefined && times >= MOST_WAITED) {
        await schedule.failed(
          chunk.relation,
          explainCopy(relation, neverFree(times, error.waiter), chunk.part).message,
        );
        return true;
      }
      await schedule.giveBack(chunk, error.waiter !== undefined);
      return false;
    }
    context.log.error({ ...name, err: error }, 'not copied');
    if (!(error instanceof LeaseLost) && !isPassing(error)) {
      const columns = identList(copiedColumns(relation).map((column) => column.name));
      const rows = rowsOf(relation, columns, chunk.part, terms.sourceVersion);
      const find = isTooLong(error) ? largestRow : isUnreadable(error) ? unreadableRow : undefined;
      const row =
        find && (await context.with('source', (source) => find(source, relation, rows)).catch(() => undefined));
      await schedule.failed(chunk.relation, explainCopy(relation, error, chunk.part, row).message);
      return true;
    }
    await schedule.release();
    if (error instanceof LeaseLost) throw error;
    throw new Failure(
      `rows of ${relation.sql} cannot be copied: ${oneLine(error)}; what is there is kept; bring that server back, then start copy again, it resumes`,
      { cause: error },
    );
  }
}
