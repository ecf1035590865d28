import type { Client } from 'pg';
import { entryMaker, missingIndexes } from '../archive/early-indexes';
import { entryTask, type EntryMaker } from '../archive/make-entries';
import type { PostDataEntry } from '../archive/post-data';
import { TaskPool, type Task } from '../tasks';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import { oneLine } from '../errors';
import { Reconnecting } from './reconnecting';

/** Memory that the sort of an index takes, in sizes of the index: its entries are sorted unpacked, with a pointer each. */
const SORT_FACTOR = 2;

/**
 * Builds statistics, keys and plain indexes of relations as soon as their rows are there, while others are still being
 * copied. An index that cannot be built fails its relation alone.
 */
export class IndexBuilder {
  /** Why indexes could not be built, one line each. */
  readonly failures: string[] = [];
  /** Indexes built. */
  built = 0;

  private readonly pool: TaskPool<Reconnecting<Client>>;
  private readonly sessions: readonly Reconnecting<Client>[];

  private constructor(
    context: Context,
    private readonly maker: EntryMaker,
    private readonly missing: PostDataEntry[],
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
    const analyze: Task<Client> = {
      needs: [relation.oid],
      run: async (session) => void (await session.query(`ANALYZE ${relation.sql}`)),
    };
    // One core's work, which nothing of this table may run beside: first, while other tables are being copied.
    const isLast = this.computed.has(relation.oid);
    if (!isLast && !isAnalyzed) this.begin(analyze);
    const built = this.build((entry) => entry.tables.includes(relation.oid));
    if (isLast && (built > 0 || !isAnalyzed)) this.begin(analyze);
  }

  /**
   * Builds what belongs to no relation that was added, such as indexes of partitioned tables, and waits for all.
   *
   * @param without oids of relations whose rows are not there
   */
  async finish(without: ReadonlySet<number>): Promise<void> {
    this.build((entry) => !entry.tables.some((table) => without.has(table)));
    await this.pool.finish();
  }

  /** Ends the sessions once what is under way is done. */
  async close(): Promise<void> {
    await this.pool.finish();
    await Promise.all(this.sessions.map((session) => session.close()));
  }

  private build(isWanted: (entry: PostDataEntry) => boolean): number {
    const wanted = this.missing.filter(isWanted);
    for (const entry of wanted) this.missing.splice(this.missing.indexOf(entry), 1);
    for (const entry of wanted) this.begin(entryTask(this.maker, entry));
    return wanted.length;
  }

  private begin(task: Task<Client>): void {
    this.pool.add(this.reconnecting(task));
  }

  private reconnecting(task: Task<Client>): Task<Reconnecting<Client>> {
    const run = async (session: Reconnecting<Client>): Promise<Task<Reconnecting<Client>> | void> => {
      try {
        const next = await session.run((client) => task.run(client));
        return next && this.reconnecting(next);
      } catch (error) {
        this.failures.push(oneLine(error));
      }
    };
    return { ...task, run };
  }
}

/** Relations with an index of an expression, of which ANALYZE keeps statistics too, once it is there. */
async function indexedExpressions(source: Client, relations: readonly Relation[]): Promise<Set<number>> {
  const { rows } = await source.query(
    'SELECT indrelid::int8 AS oid FROM pg_index WHERE indexprs IS NOT NULL AND indrelid = ANY ($1::oid[])',
    [relations.map(({ oid }) => oid)],
  );
  return new Set((rows as { oid: string }[]).map((row) => Number(row.oid)));
}
