import { rowHash } from '../../../assets/agent/row-hash';
import { ident, qualified } from '../../../assets/agent/sql';
import type { Table } from './catalog';
import type { Key, Version, Write, WriteKind } from './ledger';
import type { Session } from './session';

interface Touched {
  table: Table;
  key: Key;
  kind: WriteKind;
  before: Version;
}

/** The rows and counters that one transaction wrote, on the way to the ledger. */
export class Transaction {
  #touched = new Map<string, Touched>();
  readonly #undone = new Map<string, Touched>();
  #counters = new Map<number, number>();
  #onCommit: (() => void)[] = [];

  constructor(readonly session: Session) {}

  begin(): Promise<void> {
    return this.session.begin();
  }

  /** Locks a row, and tells its version; null if it is not there. */
  async lock(table: Table, key: Key): Promise<Version> {
    const { rows } = await this.session.query<{ version: string }>(
      `SELECT ${rowHash(table.columns, 't')} AS version FROM ${from(table)} t WHERE ${keyEquals(table, 't')} FOR UPDATE`,
      [...key],
    );
    return rows[0]?.version ?? null;
  }

  /** Whether this transaction wrote the row already. */
  has(table: Table, key: Key): boolean {
    return this.#touched.has(identity(table, key));
  }

  /** Takes down a write that the server carried out, with the version that it met. The first one of a row counts. */
  wrote(table: Table, key: Key, kind: WriteKind, before: Version): void {
    const id = identity(table, key);
    if (!this.#touched.has(id)) this.#touched.set(id, { table, key, kind, before });
  }

  /** Takes down an increment of a shared counter. */
  counted(counter: number, delta: number): void {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + delta);
  }

  /** Something to do once the commit is acknowledged, and only then. */
  onCommit(action: () => void): void {
    this.#onCommit.push(action);
  }

  /** Runs the work in a savepoint; rolls that back, and only that, if the work throws, and throws on. */
  async nested<Result>(work: () => Promise<Result>): Promise<Result> {
    const kept = { touched: new Map(this.#touched), counters: new Map(this.#counters), after: [...this.#onCommit] };
    await this.session.query('SAVEPOINT part');
    try {
      const result = await work();
      await this.session.query('RELEASE SAVEPOINT part');
      return result;
    } catch (error) {
      await this.session.query('ROLLBACK TO SAVEPOINT part');
      for (const [id, touched] of this.#touched) if (!kept.touched.has(id)) this.#undone.set(id, touched);
      this.#touched = kept.touched;
      this.#counters = kept.counters;
      this.#onCommit = kept.after;
      throw error;
    }
  }

  /** The tables written, also by what was rolled back since. */
  get triedTables(): Set<Table> {
    return new Set([...this.#touched.values(), ...this.#undone.values()].map(({ table }) => table));
  }

  /** The keys whose presence the commit decides; if its answer never comes, nobody may count on them. */
  get structural(): { table: Table; key: Key }[] {
    return [...this.#touched.values()].filter(({ kind }) => kind !== 'update');
  }

  /** How many rows and counters it writes. */
  get size(): number {
    return this.#touched.size + this.#counters.size;
  }

  get counters(): [number, number][] {
    return [...this.#counters];
  }

  /** Last thing before COMMIT: lets deferred triggers act, and reads the version of every row written. */
  async settle(): Promise<Write[]> {
    await this.session.query('SET CONSTRAINTS ALL IMMEDIATE');
    const writes: Write[] = [];
    for (const table of new Set([...this.#touched.values()].map((each) => each.table))) {
      const touched = [...this.#touched.values()].filter((each) => each.table === table);
      const after = await readVersions(
        this.session,
        table,
        touched.map((each) => each.key),
      );
      touched.forEach(({ key, kind, before }, i) => writes.push([table.id, key, kind, before, after[i] ?? null]));
    }
    const undone = [...this.#undone].filter(([id]) => !this.#touched.has(id));
    return [...writes, ...undone.map(([, touched]) => observed(touched))];
  }

  /** What is known of the rows after everything was rolled back: each is as it was met. */
  undone(): Write[] {
    return [...this.#undone.values(), ...this.#touched.values()].map(observed);
  }

  /** To be called when the commit was acknowledged. */
  committed(): void {
    for (const action of this.#onCommit) action();
  }
}

/** A table as it is named in the ledger, which is all that is needed to find its rows. */
export type Located = Pick<Table, 'schema' | 'name' | 'only'> & {
  key: readonly { name: string; type: string }[];
  columns: Table['columns'] | Parameters<typeof rowHash>[0];
};

/** Versions of rows by key, in the order of the keys; null for those that are not there. */
export async function readVersions(
  session: Pick<Session, 'query'>,
  table: Located,
  keys: readonly Key[],
): Promise<Version[]> {
  const names = table.key.map((_, i) => `k${i}`);
  const arrays = table.key.map((_, i) => keys.map((key) => key[i]));
  const match = table.key.map(({ name, type }, i) => `t.${ident(name)} = k.k${i}::${type}`).join(' AND ');
  const { rows } = await session.query<{ n: string; version: string }>(
    `SELECT k.n, ${rowHash(table.columns, 't')} AS version
      FROM unnest(${names.map((_, i) => `$${i + 1}::text[]`).join(', ')}) WITH ORDINALITY AS k(${names.join(', ')}, n)
      JOIN ${from(table)} t ON ${match}`,
    arrays,
  );
  const versions: Version[] = keys.map(() => null);
  for (const { n, version } of rows) versions[Number(n) - 1] = version;
  return versions;
}

/** The table in FROM, UPDATE and DELETE: without the rows of tables that inherit from it. */
export const from = (table: Pick<Table, 'schema' | 'name' | 'only'>): string =>
  `${table.only ? 'ONLY ' : ''}${qualified(table.schema, table.name)}`;

/** Condition for one row, whose key is given as the first parameters. */
export const keyEquals = (table: Pick<Table, 'key'>, alias: string, first = 1): string =>
  table.key.map(({ name, type }, i) => `${alias}.${ident(name)} = $${first + i}::text::${type}`).join(' AND ');

/** The key as a list of texts to select or return. */
export const keyTexts = (table: Pick<Table, 'key'>, alias: string): string =>
  table.key.map(({ name }, i) => `${alias}.${ident(name)}::text AS k${i}`).join(', ');

/** Reads what `keyTexts` selected. */
export const keyOf = (table: Pick<Table, 'key'>, row: Record<string, string>): Key =>
  table.key.map((_, i) => row[`k${i}`]!);

const identity = (table: Table, key: Key): string => `${table.id} ${JSON.stringify(key)}`;

const observed = ({ table, key, before }: Touched): Write => [table.id, key, 'observed', before, before];
