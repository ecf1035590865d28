import type { Client } from 'pg';
import type { Relation } from '../catalog/relations';
import type { Context } from '../context';
import type { End } from '../endpoints';
import { literal } from '../sql';
import { compareAll, type Comparison, type CompareProgress } from './compare-all';

/** Both ends as they stood at one moment, to be compared later; each holds back vacuum until it is released. */
export interface HeldSnapshots {
  /** Compares every row of the relations as they stood then, and releases the snapshots, whatever happens. */
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
        relations,
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

  private async enter(end: End): Promise<Client> {
    const client = await this.context.connect(end, 'compare at freeze');
    try {
      await client.query(`${BEGIN}; SET TRANSACTION SNAPSHOT ${literal(this.snapshots[end])}`);
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
