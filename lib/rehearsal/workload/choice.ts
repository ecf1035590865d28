import type { Table } from './catalog';
import { operationsOf, type Operation } from './operations';
import type { OperationReport, TableReport } from './statistics';
import type { OwnedKeys } from './keys';

/** An operation on a table, with how it fared so far among all writers. */
export interface Candidate {
  table: Table;
  operation: Operation;
  report: OperationReport;
}

const refusalsAllowed = 5;

/** What the writers may still do, table by table; drops what the database keeps refusing. */
export class Choice {
  readonly #tables: { table: Table; candidates: Candidate[]; judged: TableReport['judged'] }[];

  constructor(tables: Table[]) {
    this.#tables = tables.map((table) => ({
      table,
      judged: 'version',
      candidates: operationsOf(table).map((operation) => ({
        table,
        operation,
        report: { done: 0, refused: 0, dropped: false },
      })),
    }));
  }

  /** A random table, and one of its operations by weight; undefined if there is nothing to do. */
  pick(keysOf: (table: Table) => OwnedKeys): Candidate | undefined {
    const open = this.#tables.flatMap(({ table, candidates }) => {
      const keys = keysOf(table);
      const weighted = candidates
        .filter(({ report }) => !report.dropped)
        .map((candidate) => ({ candidate, weight: candidate.operation.weight(keys) }))
        .filter(({ weight }) => weight > 0);
      return weighted.length > 0 ? [weighted] : [];
    });
    const weighted = open[Math.floor(Math.random() * open.length)];
    if (!weighted) return undefined;
    let at = Math.random() * weighted.reduce((sum, { weight }) => sum + weight, 0);
    return (weighted.find(({ weight }) => (at -= weight) < 0) ?? weighted[0])?.candidate;
  }

  /** Every operation on every table. */
  candidates(): Candidate[] {
    return this.#tables.flatMap(({ candidates }) => candidates);
  }

  /** Takes down a refusal, in the database's words. */
  refused({ report }: Candidate, words: string): void {
    report.refused += 1;
    report.lastRefusal = words;
    report.dropped = report.refused >= refusalsAllowed && report.refused > 4 * report.done;
  }

  /** An operation that was refused, or is new, runs in a savepoint, so that it does not spoil its neighbours. */
  isRisky({ report }: Candidate): boolean {
    return report.refused > 0 || report.done < 5;
  }

  /** @returns true if the ledger has to be told, because less than before can be judged. */
  judge(table: Table, by: 'presence' | 'nothing'): boolean {
    const entry = this.#tables.find((each) => each.table === table);
    if (!entry || entry.judged === by || entry.judged === 'nothing') return false;
    entry.judged = by;
    return true;
  }

  /** @param name schema and table, joined by a dot. */
  byName(name: string): Table | undefined {
    return this.#tables.find(({ table }) => `${table.schema}.${table.name}` === name)?.table;
  }

  reports(): TableReport[] {
    return this.#tables.map(({ table, candidates, judged }) => {
      const last = candidates.find(({ report }) => report.lastRefusal)?.report.lastRefusal;
      const silent = candidates.every(({ report }) => report.done === 0);
      const why = last ? `the last refusal: ${last}` : 'no operation found a row to work on';
      return {
        table: `${table.schema}.${table.name}`,
        operations: Object.fromEntries(candidates.map(({ operation, report }) => [operation.name, { ...report }])),
        ...(silent ? { unwritable: `nothing was written here so far; ${why}` } : {}),
        judged,
      };
    });
  }
}
