import fs from 'node:fs';
import type { HashColumn } from '../../../assets/agent/row-hash';

/** The text of a row's key columns, in the order of the key. */
export type Key = readonly string[];

/** A row's version: the hash of the whole row, or null when the row is absent. */
export type Version = string | null;

/** What a write does; `observed` only tells which version was there, when the write itself was rolled back. */
export type WriteKind = 'insert' | 'update' | 'key' | 'delete' | 'observed';

/** One row in one transaction: its version before, and after the transaction's last statement. */
export type Write = readonly [table: number, key: Key, kind: WriteKind, before: Version, after: Version];

/** A table as the ledger's reader needs it to find rows again. */
export interface LedgerTable {
  id: number;
  schema: string;
  name: string;
  /** Whether rows of inheriting tables are left out. */
  only: boolean;
  key: { name: string; type: string }[];
  columns: HashColumn[];
}

/** A number that all writers increment. */
export interface LedgerCounter {
  id: number;
  schema: string;
  name: string;
  key: { name: string; value: string };
  column: string;
  /** Its value before the first writer started. */
  initial: string;
}

/** One line of the ledger. */
export type LedgerLine =
  | { t: 'table'; table: LedgerTable }
  | { t: 'counter'; counter: LedgerCounter }
  | { t: 'intended'; x: number; w: Write[]; c?: [counter: number, delta: number][] }
  | { t: 'acknowledged' | 'unknown' | 'failed'; x: number }
  | { t: 'observed'; w: Write[] }
  | { t: 'judge'; table: number; by: 'presence' | 'nothing' };

/**
 * The append-only record of what was promised to whom, outside of every database: JSON, one line per event. Each line
 * is with the operating system before the call returns, so it survives the death of this process.
 */
export class Ledger {
  readonly #file: number;
  #transactions = 0;

  /** @param file path, made anew; one that exists is an error, so that no evidence is overwritten. */
  constructor(file: string) {
    this.#file = fs.openSync(file, 'ax', 0o600);
  }

  append(line: LedgerLine): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let at = 0; at < bytes.length;) at += fs.writeSync(this.#file, bytes, at);
  }

  /** To be called before COMMIT is sent. @returns the transaction's number. */
  intend(writes: Write[], counters: [number, number][]): number {
    const x = this.#transactions++;
    this.append({ t: 'intended', x, w: writes, ...(counters.length > 0 ? { c: counters } : {}) });
    return x;
  }

  /** What became of it. Without a line, as after a crash of this process, it counts as unknown. */
  settle(x: number, outcome: 'acknowledged' | 'unknown' | 'failed'): void {
    this.append({ t: outcome, x });
  }

  close(): void {
    fs.closeSync(this.#file);
  }
}
