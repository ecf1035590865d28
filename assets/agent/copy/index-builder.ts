import type { Client } from 'pg';
import { entryMaker, missingIndexes, type IndexEntry } from '../archive/early-indexes';
import { entryTask, relationTask, type EntryMaker } from '../archive/make-entries';
import { TaskPool, type Task } from '../tasks';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { oneLine } from '../errors';
import { isLost, isPassing } from '../lost';
import { Reconnecting } from './reconnecting';

/** Memory that the sort of an index takes, in sizes of the index: its entries are sorted unpacked, with a pointer each. */
const SORT_FACTOR = 2;

/** Up to this size of its key on the source, tens of thousands of rows, all of a relation is one piece of work; bytes. */
const SMALL_KEY = 1 << 20;

/**
 * Builds statistics, keys and plain indexes of relations as soon as their rows are there, while others are still being
 * copied. An index that cannot be built fails its relation alone.
 */
export class IndexBuilder {
  /** Why indexes could not be built, one line each. */
  readonly failures: string[] = [];
  /** Indexes built. */
  built = 0;

  /** Whether the target stays away: what is left would wait for it again and again. */
  private away = false;

  private readonly pool: TaskPool<Reconnecting<Client>>;
  private readonly sessions: readonly Reconnecting<Client>[];

  private constructor(
    context: Context,
    private readonly maker: EntryMaker,
    private readonly missing: IndexEntry[],
    /** Oids of the relations whose statistics are also of their indexes. */
    private readonly computed: ReadonlySet<number>,
    pauses: readonly number[],
  ) {
    const { indexJobs, maintenanceWorkMemMb, indexWorkers } = context.config.copy;
    const open = async (): Promise<Client> => {
      const session = await context.connect('target');
      await session.query(
        `SELECT set_config('maintenance_work_mem', $1, false), set_config('max_parallel_maintenance_workers', $2, false)`,
        [`${maintenanceWorkMemMb}MB`, String(indexWorkers)],
      );
      return session;
    };
    this.sessions = Array.from({ length: Math.max(1, indexJobs) }, () => new Reconnecting(open, pauses));
    this.pool = new TaskPool(this.sessions);
  }

  /** Finds out what is to be built. */
  static async open(
    context: Context,
    source: Client,
    target: Client,
    relations: readonly Relation[],
    pauses: readonly number[],
  ): Promise<IndexBuilder> {
    const missing = await missingIndexes(context, source, target, relations);
    const maker = await entryMaker(context, source, [], missing, (entry) => {
      builder.built += 1;
      context.log.info({ entry: entry.text }, 'index built');
    });
    const memory = context.config.copy.maintenanceWorkMemMb * 1024 * 1024;
    const sortedInMemory = new Set(missing.filter(({ bytes }) => bytes * SORT_FACTOR <= memory).map(({ key }) => key));
    const builder = new IndexBuilder(
      context,
      { ...maker, sortedInMemory },
      missing,
      await indexedExpressions(source, relations),
      pauses,
    );
    return builder;
  }

  /**
   * To be called when all rows of a relation are there.
   *
   * @param isAnalyzed an earlier run, which was killed later, came as far as its statistics
   */
  add(relation: Relation, isAnalyzed = false): void {
    const entries = this.takeMissing((entry) => entry.tables.includes(relation.oid));
    if (entries.length > 0 && isSmall(entries)) return this.beginTogether(relation, entries);
    // One core's work, which nothing of this table may run beside: first, while other tables are being copied.
    const isLast = this.computed.has(relation.oid);
    if (!isLast && !isAnalyzed) this.begin(analyzeTask(relation));
    this.beginEach(entries);
    if (isLast && (entries.length > 0 || !isAnalyzed)) this.begin(analyzeTask(relation));
  }

  /**
   * Builds what belongs to no relation that was added, such as indexes of partitioned tables, and waits for all.
   *
   * @param without oids of relations whose rows are not there
   */
  async finish(without: ReadonlySet<number>): Promise<void> {
    this.beginEach(this.takeMissing((entry) => !entry.tables.some((table) => without.has(table))));
    await this.pool.finish();
  }

  /** Ends the sessions once what is under way is done. */
  async close(): Promise<void> {
    await this.pool.finish();
    await Promise.all(this.sessions.map((session) => session.close()));
  }

  private takeMissing(isWanted: (entry: IndexEntry) => boolean): IndexEntry[] {
    const wanted = this.missing.filter(isWanted);
    for (const entry of wanted) this.missing.splice(this.missing.indexOf(entry), 1);
    return wanted;
  }

  private beginEach(entries: readonly IndexEntry[]): void {
    for (const entry of entries) this.begin(entryTask(this.maker, entry));
  }

  /** When they fail together, one by one: that tells which of them cannot be built, and builds the others. */
  private beginTogether(relation: Relation, entries: readonly IndexEntry[]): void {
    const { needs, run } = relationTask(this.maker, relation.sql, entries);
    const together = async (session: Client): Promise<void> => {
      try {
        await run(session);
      } catch (error) {
        if (isPassing(error)) throw error;
        this.beginEach(entries);
        this.begin(analyzeTask(relation));
      }
    };
    this.begin({ needs, run: together });
  }

  private begin(task: Task<Client>): void {
    this.pool.add(this.reconnecting(task));
  }

  private reconnecting(task: Task<Client>): Task<Reconnecting<Client>> {
    const run = async (session: Reconnecting<Client>): Promise<Task<Reconnecting<Client>> | void> => {
      if (this.away) return;
      try {
        const next = await session.run((client) => task.run(client));
        return next && this.reconnecting(next);
      } catch (error) {
        this.failures.push(oneLine(error));
        if (isLost(error)) this.away = true;
      }
    };
    return { ...task, run };
  }
}

const analyzeTask = (relation: Relation): Task<Client> => ({
  needs: [relation.oid],
  run: async (session) => void (await session.query(`ANALYZE ${relation.sql}`)),
});

const isSmall = (entries: readonly IndexEntry[]): boolean =>
  entries.every(({ bytes }) => bytes <= SMALL_KEY) && entries.some(({ kind }) => kind === 'key');

/** Relations with an index of an expression, of which ANALYZE keeps statistics too, once it is there. */
async function indexedExpressions(source: Client, relations: readonly Relation[]): Promise<Set<number>> {
  const { rows } = await source.query(
    'SELECT indrelid::int8 AS oid FROM pg_index WHERE indexprs IS NOT NULL AND indrelid = ANY ($1::oid[])',
    [relations.map(({ oid }) => oid)],
  );
  return new Set((rows as { oid: string }[]).map((row) => Number(row.oid)));
}
