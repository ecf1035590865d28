import type { ClientBase } from 'pg';
import { qualified } from '../../../assets/agent/sql';
import type { Catalog, Table } from './catalog';
import type { LedgerCounter } from './ledger';
import type { TableReport } from './statistics';
import { keyOf, keyTexts, type Transaction } from './transaction';

const schema = 'public';
/** Few enough to stay hot, and to be read at the start in no time. */
const countersAtMost = 50;
const tellersName = 'pgbench_tellers';
const branchesName = 'pgbench_branches';

/** The tables of pgbench, which all writers share: accounts by owner, tellers and branches as counters. */
export class Pgbench {
  #done = 0;

  private constructor(
    readonly accounts: Table,
    /** Undefined if it has no key, as pgbench itself makes it; then nothing is written there. */
    readonly history: Table | undefined,
    readonly accountCount: number,
    readonly tellers: LedgerCounter[],
    readonly branches: LedgerCounter[],
  ) {}

  /** Finds them in the catalog and takes them out of it; undefined if they are not there. */
  static async find(client: ClientBase, catalog: Catalog): Promise<Pgbench | undefined> {
    const take = (name: string): Table | undefined => {
      const index = catalog.tables.findIndex((table) => table.schema === schema && table.name === name);
      return index < 0 ? undefined : catalog.tables.splice(index, 1)[0];
    };
    const [accounts, tellers, branches] = ['pgbench_accounts', tellersName, branchesName].map(take);
    const history = take('pgbench_history');
    if (!accounts || !tellers || !branches) return undefined;
    const { rows } = await client.query<{ count: number }>(
      `SELECT max(aid)::int4 AS count FROM ${qualified(schema, accounts.name)}`,
    );
    const first = await readCounters(client, tellers.name, 'tid', 'tbalance', 0);
    const second = await readCounters(client, branches.name, 'bid', 'bbalance', first.length);
    return new Pgbench(accounts, history, rows[0]?.count ?? 0, first, second);
  }

  /** Like TPC-B: an account that this writer owns, a hot teller and a hot branch of all writers, a line of history. */
  async run(tx: Transaction, writer: number, writers: number): Promise<boolean> {
    const aid = 1 + writer + writers * Math.floor((Math.random() * this.accountCount) / writers);
    if (aid > this.accountCount) return false;
    const delta = 1 + Math.floor(Math.random() * 5);
    const before = await tx.lock(this.accounts, [String(aid)]);
    if (before === null) return false;
    await tx.session.query('UPDATE public.pgbench_accounts SET abalance = abalance + $2 WHERE aid = $1', [aid, delta]);
    tx.wrote(this.accounts, [String(aid)], 'update', before);
    const teller = anyOf(this.tellers);
    const branch = anyOf(this.branches);
    this.#done += 1;
    if (!teller || !branch) return true;
    await tx.session.query('UPDATE public.pgbench_tellers SET tbalance = tbalance + $2 WHERE tid = $1', [
      teller.key.value,
      delta,
    ]);
    tx.counted(teller.id, delta);
    await tx.session.query('UPDATE public.pgbench_branches SET bbalance = bbalance + $2 WHERE bid = $1', [
      branch.key.value,
      delta,
    ]);
    tx.counted(branch.id, delta);
    if (this.history) {
      const { rows } = await tx.session.query<Record<string, string>>(
        `INSERT INTO public.pgbench_history AS t (tid, bid, aid, delta, mtime)
          VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP) RETURNING ${keyTexts(this.history, 't')}`,
        [teller.key.value, branch.key.value, aid, delta],
      );
      if (rows[0]) tx.wrote(this.history, keyOf(this.history, rows[0]), 'insert', null);
    }
    return true;
  }

  /** What was written where, for the workload's report. */
  reports(): TableReport[] {
    const report = (name: string, operation: string): TableReport => ({
      table: `${schema}.${name}`,
      operations: { [operation]: { done: this.#done, refused: 0, dropped: false } },
      judged: 'version',
    });
    return [
      report(this.accounts.name, 'update abalance'),
      report(tellersName, 'increment tbalance'),
      report(branchesName, 'increment bbalance'),
      ...(this.history ? [report(this.history.name, 'insert')] : []),
    ];
  }
}

async function readCounters(
  client: ClientBase,
  name: string,
  key: string,
  column: string,
  firstId: number,
): Promise<LedgerCounter[]> {
  const { rows } = await client.query<{ key: string; initial: string }>(
    `SELECT ${key}::text AS key, ${column}::text AS initial FROM ${qualified(schema, name)}
      ORDER BY ${key} LIMIT ${countersAtMost}`,
  );
  return rows.map((row, i) => ({
    id: firstId + i,
    schema,
    name,
    key: { name: key, value: row.key },
    column,
    initial: row.initial,
  }));
}

const anyOf = <Item>(items: Item[]): Item | undefined => items[Math.floor(Math.random() * items.length)];
