import fs from 'node:fs';
import path from 'node:path';
import type { Client } from 'pg';
import { setHashSettings } from '../../../assets/agent/row-hash';
import { ident, qualified } from '../../../assets/agent/sql';
import type { LedgerCounter, LedgerTable } from './ledger';
import { partitionLedger, readPartitions, type SettledCounter, type SettledLedger } from './ledger-reader';
import { readVersions } from './transaction';
import { follow, judge, type Finding, type RowState } from './verdict';

/** What the final database did to the promises in a ledger. */
export interface Verdict {
  /** Row writes and counter increments whose commit was acknowledged. */
  acknowledgedWrites: number;
  /** The same, whose commit was never answered: either outcome is right. */
  unknownWrites: number;
  /** Everything below together; 0 is the promise. */
  lostWrites: number;
  /** Rows that should be there and are not. */
  lostRows: number;
  /** Rows with a version that no writer left there. */
  lostUpdates: number;
  /** Deleted (or renamed) rows that are back. */
  revivedDeletes: number;
  /** Rows whose insert was rolled back, and which are there. */
  ghostRows: number;
  /** Shared counters below what was acknowledged, or above what was ever tried. */
  countersWrong: number;
  /** Rows and counters that were looked at. */
  judged: number;
  /** Tables whose rows others change by trigger or cascade, so that versions (or anything) could not be judged. */
  limited: { table: string; by: 'presence' | 'nothing' }[];
  /** The first 20 things found. */
  examples: { table: string; key: string; kind: Finding | 'counter'; expected: string; found: string }[];
}

const batchSize = 500;
const examplesAtMost = 20;
const tallies = {
  lostRow: 'lostRows',
  lostUpdate: 'lostUpdates',
  revivedDelete: 'revivedDeletes',
  ghostRow: 'ghostRows',
} as const;

/**
 * Holds a ledger against the final database, in one snapshot. Rows that the ledger never heard of are not judged.
 * @param client connected to the database that the writers end on; it may be in no transaction.
 */
export async function checkLedger(ledgerFile: string, client: Client): Promise<Verdict> {
  const directory = fs.mkdtempSync(path.join(path.dirname(ledgerFile), 'ledger-parts-'));
  try {
    const ledger = await partitionLedger(ledgerFile, directory);
    await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${setHashSettings('local')};
      SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`);
    try {
      return await new Check(ledger, client).run(directory);
    } finally {
      await client.query('ROLLBACK');
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

class Check {
  readonly #verdict: Verdict;

  constructor(
    readonly ledger: SettledLedger,
    readonly client: Client,
  ) {
    const { acknowledgedWrites, unknownWrites, judged, tables } = ledger;
    this.#verdict = {
      acknowledgedWrites,
      unknownWrites,
      lostWrites: 0,
      lostRows: 0,
      lostUpdates: 0,
      revivedDeletes: 0,
      ghostRows: 0,
      countersWrong: 0,
      judged: 0,
      limited: [...judged].map(([id, by]) => ({ table: nameOf(tables.get(id)!), by })),
      examples: [],
    };
  }

  async run(directory: string): Promise<Verdict> {
    for await (const writes of readPartitions(directory)) {
      const rows = new Map<string, RowState>();
      for (const { write, acknowledged } of writes) {
        const id = `${write[0]} ${JSON.stringify(write[1])}`;
        rows.set(id, follow(rows.get(id), write, acknowledged, this.#byVersion(write[0])));
      }
      for (const [id, table] of this.ledger.tables) {
        if (this.ledger.judged.get(id) === 'nothing') continue;
        const states = [...rows.values()].filter((state) => state.table === id);
        for (let at = 0; at < states.length; at += batchSize) {
          await this.#compare(table, states.slice(at, at + batchSize));
        }
      }
    }
    for (const counter of this.ledger.counters.values()) await this.#compareCounter(counter);
    return this.#verdict;
  }

  #byVersion(table: number): boolean {
    return !this.ledger.judged.has(table);
  }

  async #compare(table: LedgerTable, states: RowState[]): Promise<void> {
    const query = this.client.query.bind(this.client);
    const keys = states.map((state) => state.key);
    const found = (await this.#exists(table)) ? await readVersions({ query }, table, keys) : [];
    states.forEach((state, i) => {
      this.#verdict.judged += 1;
      const finding = state.finding ?? judge(state, found[i] ?? null, this.#byVersion(table.id));
      if (!finding) return;
      this.#verdict[tallies[finding.kind]] += 1;
      const key = table.key.map(({ name }, part) => `${name}=${state.key[part]}`).join(', ');
      this.#lost({ table: nameOf(table), key, ...finding });
    });
  }

  async #compareCounter(counter: SettledCounter): Promise<void> {
    const { schema, name, key, column, initial, acknowledged, unknown } = counter;
    this.#verdict.judged += 1;
    const least = BigInt(initial) + BigInt(acknowledged);
    const most = least + BigInt(unknown);
    const value = await this.#counterValue(counter);
    if (value !== undefined && BigInt(value) >= least && BigInt(value) <= most) return;
    this.#verdict.countersWrong += 1;
    this.#lost({
      table: `${schema}.${name}`,
      key: `${key.name}=${key.value}`,
      kind: 'counter',
      expected: `${column} from ${least} to ${most}`,
      found: value ?? 'absent',
    });
  }

  async #counterValue(counter: LedgerCounter): Promise<string | undefined> {
    const { schema, name, key, column } = counter;
    if (!(await this.#exists(counter))) return undefined;
    const { rows } = await this.client.query<{ value: string }>(
      `SELECT ${ident(column)}::text AS value FROM ${qualified(schema, name)} WHERE ${ident(key.name)} = $1`,
      [key.value],
    );
    return rows[0]?.value;
  }

  /** A table that is not there has lost all its rows, which is a verdict and no error. */
  async #exists({ schema, name }: { schema: string; name: string }): Promise<boolean> {
    const { rows } = await this.client.query<{ there: boolean }>(
      'SELECT pg_catalog.to_regclass($1) IS NOT NULL AS there',
      [qualified(schema, name)],
    );
    return rows[0]!.there;
  }

  #lost(example: Verdict['examples'][number]): void {
    this.#verdict.lostWrites += 1;
    if (this.#verdict.examples.length < examplesAtMost) this.#verdict.examples.push(example);
  }
}

const nameOf = (table: LedgerTable): string => `${table.schema}.${table.name}`;
