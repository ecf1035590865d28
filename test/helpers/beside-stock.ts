import type { Client } from 'pg';
import { capture } from '../../assets/agent/capture';
import type { Context } from '../../assets/agent/context';
import { Bucardo, expectStockTriggers, STOCK } from '../../lib/bench/bucardo';
import { runPhase } from '../../lib/bench/copy-ways';
import { startBenchServers, type BenchServers } from '../../lib/bench/servers';

/** Databases with the same tables: one that Bucardo 5.6.0 has prepared by itself, and one with our capture. */
export type Side = 'stock' | 'ours';

const TABLES = `
  CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, at timestamptz);
  CREATE TABLE parent (id int PRIMARY KEY);
  CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
  CREATE TABLE note (id int PRIMARY KEY);
  INSERT INTO item SELECT generate_series(1, 3); INSERT INTO note VALUES (1);
  INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1)`;

/** What Bucardo replicates of each, in one sync. Without a time to look at, a run waits for ever for a lost NOTIFY. */
const SYNCED = {
  stock: { tables: ['item', 'parent', 'child', 'note'], sync: { ...STOCK.sync, checktime: '1 second' } },
  // Bucardo makes a trigger for TRUNCATE of its own where a table is in a sync of another name than ours have.
  ours: { tables: ['item'], sync: { autokick: false, checktime: '1 second' } },
} as const;

/** Both databases, filled alike on both ends, and the Debian package's Bucardo for one of them at a time. */
export class BesideStock {
  readonly source = {} as Record<Side, Client>;
  readonly target = {} as Record<Side, Client>;
  private prepared: { readonly side: Side; readonly bucardo: Bucardo } | undefined;

  private constructor(private readonly servers: BenchServers) {}

  static async start(): Promise<BesideStock> {
    const servers = await startBenchServers({ source: 11, target: 17 }, () => undefined);
    const both = new BesideStock(servers);
    try {
      for (const side of ['stock', 'ours'] as const) await both.fill(side);
      await both.within((context) => capture.run(context));
      await both.bucardo('stock');
      await expectStockTriggers(servers, 'stock', SYNCED.stock.tables);
      return both;
    } catch (error) {
      await both.stop();
      throw error;
    }
  }

  private async fill(side: Side): Promise<void> {
    for (const end of ['source', 'target'] as const) {
      const admin = await this.servers.connect(end);
      await admin.query(`CREATE DATABASE ${side}`);
      await admin.end();
      this[end][side] = await this.servers.connect(end, side);
      await this[end][side].query(TABLES);
    }
  }

  /** Another session on the source. */
  session(side: Side): Promise<Client> {
    return this.servers.connect('source', side);
  }

  /** Bucardo with a sync over this database. Where its objects are, it takes them for its own. */
  async bucardo(side: Side): Promise<Bucardo> {
    if (this.prepared?.side !== side) {
      const { tables, sync } = SYNCED[side];
      this.prepared = { side, bucardo: await Bucardo.setUp(this.servers, side, tables, { sync }) };
    }
    return this.prepared.bucardo;
  }

  /** Syncs whose last run has failed, as Bucardo itself tells. */
  async badRuns(): Promise<number> {
    const control = await this.servers.host.admin('bucardo');
    try {
      return (await control.query('SELECT FROM bucardo.syncrun WHERE lastbad')).rowCount ?? 0;
    } finally {
      await control.end();
    }
  }

  /** Work with the context that a phase has, on our database. */
  within<T>(work: (context: Context) => Promise<T>): Promise<T> {
    return runPhase(this.servers.config('ours'), 'capture', work);
  }

  async stop(): Promise<void> {
    await this.prepared?.bucardo.stop();
    const clients = [this.source, this.target].flatMap((sides) => Object.values(sides));
    await Promise.allSettled(clients.map((client) => client.end()));
    await this.servers.close();
  }
}
