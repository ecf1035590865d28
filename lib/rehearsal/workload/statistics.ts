import { createHistogram } from 'node:perf_hooks';
import { ClientKind, type ClientReport } from './clients/kind';

/** How one operation on one table fared. */
export interface OperationReport {
  done: number;
  refused: number;
  /** The database's words at the last refusal. */
  lastRefusal?: string;
  /** True once the writers gave it up, because the database refuses it. */
  dropped: boolean;
}

/** What the writers do to one table. */
export interface TableReport {
  table: string;
  /** By operation: `insert`, `update <column>`, `change key`, `swap <columns>`, `delete`. */
  operations: Record<string, OperationReport>;
  /** Why nothing can be written here; undefined if something can. */
  unwritable?: string;
  /** What the ledger can tell: less than the version where triggers or cascades of others change the rows. */
  judged: 'version' | 'presence' | 'nothing';
}

/** Counters of the workload since its start. */
export interface WorkloadStatistics {
  /** Transactions whose COMMIT was answered. */
  acknowledgedTransactions: number;
  /** Row writes and counter increments in them. */
  acknowledgedWrites: number;
  /** Transactions that surely did not commit, on the server's word or because COMMIT was never sent. */
  failedTransactions: number;
  /** Transactions whose COMMIT was sent and never answered. */
  unknownTransactions: number;
  /** Transactions rolled back on purpose. */
  rolledBackTransactions: number;
  /** Errors a client saw, in total: also those of connecting. Refusals of single operations are not among them. */
  clientErrors: number;
  /** The same by SQLSTATE, or by kind where the server said nothing, e.g. `ECONNREFUSED`, `timeout`. */
  clientErrorsBy: Record<string, number>;
  /** From BEGIN to the answer of COMMIT, in ms, of acknowledged transactions. */
  latencyMs: { p50: number; p99: number; max: number };
  /** What the clients of each kind saw. */
  clients: readonly ClientReport[];
}

/** Collects what the writers report. */
export class Statistics {
  acknowledgedTransactions = 0;
  acknowledgedWrites = 0;
  failedTransactions = 0;
  unknownTransactions = 0;
  rolledBackTransactions = 0;
  readonly writers = new ClientKind('writer of short transactions');
  /** All kinds of clients that there are. */
  readonly kinds: readonly ClientKind[] = [this.writers];
  readonly #errors = new Map<string, number>();
  readonly #latency = createHistogram();

  acknowledged(writes: number, latencyMs: number): void {
    this.acknowledgedTransactions += 1;
    this.acknowledgedWrites += writes;
    this.#latency.record(Math.max(1, Math.round(latencyMs * 1_000)));
  }

  clientError(kind: string): void {
    this.#errors.set(kind, (this.#errors.get(kind) ?? 0) + 1);
  }

  snapshot(): WorkloadStatistics {
    const ms = (microseconds: number): number => (this.acknowledgedTransactions === 0 ? 0 : microseconds / 1_000);
    return {
      acknowledgedTransactions: this.acknowledgedTransactions,
      acknowledgedWrites: this.acknowledgedWrites,
      failedTransactions: this.failedTransactions,
      unknownTransactions: this.unknownTransactions,
      rolledBackTransactions: this.rolledBackTransactions,
      clientErrors: [...this.#errors.values()].reduce((sum, count) => sum + count, 0),
      clientErrorsBy: Object.fromEntries(this.#errors),
      latencyMs: {
        p50: ms(this.#latency.percentile(50)),
        p99: ms(this.#latency.percentile(99)),
        max: ms(this.#latency.max),
      },
      clients: this.kinds.map((kind) => kind.report()),
    };
  }
}
