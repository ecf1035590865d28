import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import type { LedgerCounter, LedgerLine, LedgerTable, Write } from './ledger';

/** A shared counter with the sums of its increments. */
export type SettledCounter = LedgerCounter & { acknowledged: number; unknown: number };

/** The ledger, settled: what each transaction's outcome makes of its writes. */
export interface SettledLedger {
  tables: Map<number, LedgerTable>;
  counters: Map<number, SettledCounter>;
  /** Tables of which less than the version can be judged. */
  judged: Map<number, 'presence' | 'nothing'>;
  acknowledgedWrites: number;
  unknownWrites: number;
}

/** A write with the outcome of its transaction. */
export interface SettledWrite {
  write: Write;
  acknowledged: boolean;
}

const partitions = 64;
const flushAt = 1 << 16;

/**
 * Reads a ledger of any size in flat memory: the writes go to files by the hash of their row, in the order of their
 * outcomes, which for one row is the order in which they happened. Each file is then read by itself.
 */
export async function partitionLedger(file: string, directory: string): Promise<SettledLedger> {
  const result: SettledLedger = {
    tables: new Map(),
    counters: new Map(),
    judged: new Map(),
    acknowledgedWrites: 0,
    unknownWrites: 0,
  };
  const pending = new Map<number, Extract<LedgerLine, { t: 'intended' }>>();
  const parts = new Parts(directory);
  const settle = (x: number, outcome: 'acknowledged' | 'unknown' | 'failed'): void => {
    const line = pending.get(x);
    if (!line) return;
    pending.delete(x);
    const acknowledged = outcome === 'acknowledged';
    for (const write of line.w) {
      if (outcome === 'failed') parts.add({ write: asObserved(write), acknowledged: false });
      else parts.add({ write, acknowledged });
    }
    if (outcome === 'failed') return;
    const changes = line.w.filter(([, , kind]) => kind !== 'observed').length + (line.c?.length ?? 0);
    result[acknowledged ? 'acknowledgedWrites' : 'unknownWrites'] += changes;
    for (const [id, delta] of line.c ?? []) {
      result.counters.get(id)![acknowledged ? 'acknowledged' : 'unknown'] += delta;
    }
  };
  try {
    for await (const text of readline.createInterface({ input: fs.createReadStream(file), crlfDelay: Infinity })) {
      const line = parse(text);
      if (!line) continue;
      if (line.t === 'table') result.tables.set(line.table.id, line.table);
      else if (line.t === 'counter') {
        result.counters.set(line.counter.id, { ...line.counter, acknowledged: 0, unknown: 0 });
      } else if (line.t === 'judge') {
        if (result.judged.get(line.table) !== 'nothing') result.judged.set(line.table, line.by);
      } else if (line.t === 'intended') pending.set(line.x, line);
      else if (line.t === 'observed') for (const write of line.w) parts.add({ write, acknowledged: false });
      else settle(line.x, line.t);
    }
    for (const x of pending.keys()) settle(x, 'unknown');
  } finally {
    parts.close();
  }
  return result;
}

/** The files that `partitionLedger` wrote, each with all writes of its rows. */
export async function* readPartitions(directory: string): AsyncGenerator<SettledWrite[]> {
  for (const name of fs.readdirSync(directory).sort()) {
    const lines = fs.readFileSync(path.join(directory, name), 'utf8').split('\n');
    yield lines.filter(Boolean).map((line) => JSON.parse(line) as SettledWrite);
  }
}

/** The last line may be cut off, if the program was killed while writing it: then it was not promised. */
function parse(text: string): LedgerLine | undefined {
  try {
    return JSON.parse(text) as LedgerLine;
  } catch {
    return undefined;
  }
}

const asObserved = ([table, key, , before]: Write): Write => [table, key, 'observed', before, before];

class Parts {
  readonly #files: number[];
  readonly #buffers: string[];

  constructor(directory: string) {
    this.#buffers = Array.from({ length: partitions }, () => '');
    this.#files = this.#buffers.map((_, i) => fs.openSync(path.join(directory, `part-${i}`), 'wx', 0o600));
  }

  add(settled: SettledWrite): void {
    const part = hash(`${settled.write[0]} ${JSON.stringify(settled.write[1])}`) % partitions;
    this.#buffers[part] += `${JSON.stringify(settled)}\n`;
    if (this.#buffers[part]!.length > flushAt) this.#flush(part);
  }

  close(): void {
    this.#files.forEach((file, part) => {
      this.#flush(part);
      fs.closeSync(file);
    });
  }

  #flush(part: number): void {
    fs.appendFileSync(this.#files[part]!, this.#buffers[part]!);
    this.#buffers[part] = '';
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
