import { dropDatabase, makeData, type BenchData } from './data';
import type { BenchServers } from './servers';

/** A database of the source. */
export interface DataSet {
  readonly database: string;
  /** Its size with indexes. */
  readonly bytes: number;
}

/** 1.4 GB with indexes: the size at which ways are compared. */
export const MEDIUM: BenchData = { scale: 40, wideRows: 1_200_000 };

/** Sizes beside it, so that growth shows; about 0.5 and 4 GB. */
export const SMALL: BenchData = { scale: 14, wideRows: 430_000 };
export const LARGE: BenchData = { scale: 114, wideRows: 3_430_000 };

/** What stands for all of them in a quick run. */
export const TINY: BenchData = { scale: 3, wideRows: 80_000 };

/** Databases that are only read, so that several benchmarks share them; made when first asked for. */
export class DataSets {
  private readonly made = new Map<string, DataSet>();

  constructor(private readonly servers: BenchServers) {}

  /** The database with this much data. */
  async get(data: BenchData): Promise<DataSet> {
    const database = `data_${data.scale}_${data.wideRows}`;
    const known = this.made.get(database);
    if (known) return known;
    const found = { database, bytes: await makeData(this.servers, database, data) };
    this.made.set(database, found);
    return found;
  }

  /** Names of those that stand. */
  get databases(): readonly string[] {
    return [...this.made.keys()];
  }

  /** Removes one that nobody needs any more, on both ends. */
  async drop({ database }: DataSet): Promise<void> {
    await dropDatabase(this.servers, database);
    this.made.delete(database);
  }
}
