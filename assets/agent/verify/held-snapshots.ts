import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { End } from '../endpoints';
import { Failure } from '../errors';
import { literal } from '../sql';
import { compareAll, type Comparison, type CompareProgress } from './compare-all';
import { compareRelation, type CompareOptions } from './compare-relation';
import type { RelationComparison } from './comparison';

/**
 * Both ends as they stood at one moment, to be compared later; each holds back vacuum until it is released, and none
 * holds a table for longer than a chunk of it is read, since applications write by then.
 */
export interface HeldSnapshots {
  /**
   * Compares every row of the relations as they stood then, the smallest relation first, and releases the snapshots,
   * whatever happens. One that was emptied or rewritten since then is not compared: no snapshot shows its rows.
   */
  compare(relations: readonly Relation[], onProgress?: (progress: CompareProgress) => void): Promise<Comparison>;
  /** Gives the snapshots up without comparing; does nothing when that was done already. */
  release(): Promise<void>;
}

/** Sessions that stand ready to hold a snapshot, so that within the write pause nothing has to connect. */
export interface SnapshotHolders {
  /** Takes both snapshots, at once: one round trip each. */
  hold(): Promise<HeldSnapshots>;
  /** Closes the sessions when `hold` was not called. */
  close(): Promise<void>;
}

const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** Opens the sessions for `hold`; to be called before writes stop. */
export async function openSnapshotHolders(context: Context): Promise<SnapshotHolders> {
  const sessions = {
    source: await context.connect('source', 'snapshot'),
    target: await context.connect('target', 'snapshot'),
  };
  const close = async (): Promise<void> => {
    await Promise.allSettled([sessions.source.end(), sessions.target.end()]);
  };
  return {
    close,
    hold: async () => {
      const [source, target] = await Promise.all([exportSnapshot(sessions.source), exportSnapshot(sessions.target)]);
      return new Held(context, { source, target }, close);
    },
  };
}

class Held implements HeldSnapshots {
  private released: Promise<void> | undefined;

  constructor(
    private readonly context: Context,
    private readonly snapshots: Readonly<Record<End, string>>,
    private readonly close: () => Promise<void>,
  ) {}

  async compare(relations: readonly Relation[], onProgress?: (progress: CompareProgress) => void): Promise<Comparison> {
    try {
      return await compareAll({
        openSource: () => this.enter('source'),
        openTarget: () => this.enter('target'),
        openMemory: () => this.context.connectMemory(),
        // A small one is soon read, and most of those that applications empty again and again are small.
        relations: [...relations].sort((a, b) => a.bytes - b.bytes),
        compare: (options) => this.one(options),
        jobs: this.context.config.verify.jobs,
        chunkRows: this.context.config.verify.chunkRows,
        maxRowsPerSecond: this.context.config.verify.maxRowsPerSecond,
        ...(onProgress && { onProgress }),
      });
    } finally {
      await this.release();
    }
  }

  release(): Promise<void> {
    this.released ??= this.close();
    return this.released;
  }

  private async one(options: CompareOptions): Promise<RelationComparison> {
    const { relation, source, target } = options;
    const leave = async (): Promise<void> => {
      await Promise.all([this.leave('source', source, relation), this.leave('target', target, relation)]);
    };
    // Nothing is read after the last chunk was told of.
    return compareRelation({
      ...options,
      onChunk: async (rows, again) => {
        await leave();
        await options.onChunk?.(rows, again);
      },
    });
  }

  /**
   * Lets go of a relation, and stands in the snapshot once more. Throws Failure when it has another file than the
   * snapshot shows: catalogs are read as of the snapshot, functions on them as of now, and nothing can have come between
   * the rows and this question, as they were locked.
   */
  private async leave(end: End, client: Client, relation: Relation): Promise<void> {
    const { rows } = await client.query(
      `SELECT c.relfilenode = pg_relation_filenode(c.oid) AS same FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND c.relname = $2`,
      [relation.schema, relation.name],
    );
    if ((rows[0] as { same: boolean | null } | undefined)?.same !== true) {
      throw new Failure(
        `it was emptied or rewritten on the ${this.context.real(end)} (TRUNCATE, VACUUM FULL, CLUSTER, ALTER TABLE, DROP) after the pause, so that its rows of then cannot be read any more`,
      );
    }
    await client.query(`COMMIT; ${this.entry(end)}`);
  }

  private entry(end: End): string {
    return `${BEGIN}; SET TRANSACTION SNAPSHOT ${literal(this.snapshots[end])}`;
  }

  private async enter(end: End): Promise<Client> {
    const client = await this.context.connect(end, 'compare at freeze');
    try {
      await client.query(this.entry(end));
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }
}

/** Both statements in one message, which the driver answers with a result each. */
async function exportSnapshot(client: Client): Promise<string> {
  const answer: unknown = await client.query(`${BEGIN}; SELECT pg_export_snapshot() AS snapshot`);
  const [, { rows }] = answer as [unknown, { rows: [{ snapshot: string }] }];
  return rows[0].snapshot;
}
