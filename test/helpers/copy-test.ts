import type { Client } from 'pg';
import { capture } from '../../assets/agent/capture';
import { checkCapture } from '../../assets/agent/capture/check';
import { readRelations } from '../../assets/agent/catalog/relations';
import { CatchUp } from '../../assets/agent/catch-up/rounds';
import type { AgentConfig } from '../../assets/agent/config';
import type { Context } from '../../assets/agent/context';
import { copyAll, type CopyProbes } from '../../assets/agent/copy';
import { Lease } from '../../assets/agent/lease';
import type { PhaseOutcome } from '../../assets/agent/phase';
import { copySchema } from '../../assets/agent/schema';
import { startMigration, type MigrationOptions, type TestMigration } from './migration';

/** As in production, but for short pauses and no further processes. */
export const COPY_PROBES: CopyProbes = {
  checkCapture,
  startBeside: () => Promise.resolve(),
  pauses: [100, 300, 1000, 2000],
};

/** Capture is broken on purpose, and what the copy itself says is to be seen. */
export const BLIND_PROBES: CopyProbes = { ...COPY_PROBES, checkCapture: () => Promise.resolve([]) };

/** What `written` tells where each chunk was written by the transaction that left its note, and by no other. */
export const asNoted = (notes: readonly Note[]): Map<string, number> =>
  new Map(notes.filter(({ rows }) => rows > 0).map(({ transaction, rows }) => [transaction, rows]));

/** Size of a chunk, so that small tables are cut too; MB. */
const CHUNK_MEGABYTES = 0.2;

/** What the target says of a chunk that it has. */
export interface Note {
  readonly number: number;
  readonly plan: string;
  readonly rows: number;
  /** The transaction that left the note. */
  readonly transaction: string;
}

/** Servers on which copies are tried, and a superuser's session on both ends. */
export class CopyTest {
  source!: Client;
  target!: Client;

  private constructor(
    readonly migration: TestMigration,
    private readonly probes: CopyProbes,
  ) {}

  static async start(probes: CopyProbes = COPY_PROBES, options: MigrationOptions = {}): Promise<CopyTest> {
    const test = new CopyTest(await startMigration(options), probes);
    await test.reconnect();
    return test;
  }

  /** Opens the sessions anew: the databases are others, or a server was gone. */
  async reconnect(): Promise<void> {
    this.source = await this.migration.admin('source');
    this.target = await this.migration.admin('target');
  }

  /** A pair of databases whose source is filled and captured, and whose target has the definitions. */
  async prepare(fill: string): Promise<void> {
    await this.migration.fresh();
    await this.reconnect();
    await this.source.query(fill);
    await this.within('schema', copySchema);
    await this.within('capture', (context) => capture.run(context));
  }

  /** Work with the context that a phase has. */
  async within<T>(
    phase: string,
    work: (context: Context) => Promise<T>,
    overrides: Partial<AgentConfig> = {},
  ): Promise<T> {
    const copy = { ...this.migration.config.copy, chunkMegabytes: CHUNK_MEGABYTES };
    const context = await this.migration.context(phase, { copy, ...overrides });
    try {
      return await work(context);
    } finally {
      await context.close();
    }
  }

  /** The phase copy. */
  run(copy: Partial<AgentConfig['copy']> = {}, probes: Partial<CopyProbes> = {}): Promise<PhaseOutcome> {
    return this.within('copy', (context) => copyAll(context, { ...this.probes, ...probes }), {
      copy: { ...this.migration.config.copy, chunkMegabytes: CHUNK_MEGABYTES, ...copy },
    });
  }

  /** Brings what changed since capture began. */
  catchUp(): Promise<void> {
    return this.within('sync', async (context) => {
      const [source, target] = [await context.connect('source'), await context.connect('target')];
      const relations = await readRelations(source, context.config);
      const rounds = new CatchUp(context, relations, await Lease.take(target, 'catch-up'));
      await rounds.until(source, 0);
      await rounds.close();
    });
  }

  /** Notes of a table's chunks on the target, in the chunks' order. */
  async notes(table: string): Promise<Note[]> {
    const { rows } = await this.target.query(
      `SELECT number, plan, rows::int AS rows, xmin::text AS transaction FROM ibex.chunk
       WHERE format('%I.%I', schema_name, relation_name)::regclass = $1::text::regclass ORDER BY number`,
      [table],
    );
    return rows as Note[];
  }

  /** Transactions that wrote rows of a table on the target, each with the number of its rows. */
  async written(table: string): Promise<Map<string, number>> {
    const { rows } = await this.target.query(
      `SELECT xmin::text AS transaction, count(*)::int AS rows FROM ONLY ${table} GROUP BY 1`,
    );
    return new Map((rows as { transaction: string; rows: number }[]).map((each) => [each.transaction, each.rows]));
  }

  /** Rows of a table on the target. */
  async count(table: string): Promise<number> {
    return (await this.one<{ n: number }>('target', `SELECT count(*)::int AS n FROM ${table}`)).n;
  }

  /** Chunks that the target has; 0 before there is a list of them. */
  async chunks(): Promise<number> {
    const { there } = await this.one<{ there: boolean }>(
      'target',
      `SELECT to_regclass('ibex.chunk') IS NOT NULL AS there`,
    );
    return there ? this.count('ibex.chunk') : 0;
  }

  /** The first row of what a query yields. */
  async one<T>(end: 'source' | 'target', query: string): Promise<T> {
    return (await this[end].query(query)).rows[0] as T;
  }
}
