import { ident, identList, qualified } from '../../../assets/agent/sql';
import type { Column, Table } from './catalog';
import { OwnedKeys } from './keys';
import type { Key } from './ledger';
import { from, keyEquals, keyOf, keyTexts, type Transaction } from './transaction';
import { alteredValue, freshValue } from './values';

/** What a writer knows when it works on a table. */
export interface Place {
  table: Table;
  keys: OwnedKeys;
  /** A number nobody else in this workload gets. */
  unique: () => number;
}

/** One way to write a table. */
export interface Operation {
  /** As the report names it, e.g. `update price`. */
  name: string;
  /** How often it is chosen, relative to the others. */
  weight: (keys: OwnedKeys) => number;
  /** @returns false if there was nothing to do it with, e.g. no row. Throws what the database says. */
  run: (tx: Transaction, place: Place) => Promise<boolean>;
}

/** Every operation that a table's definition allows; whether its constraints and triggers do shows when tried. */
export function operationsOf(table: Table): Operation[] {
  const updatable = table.columns.filter(
    (column) => isFree(column) && !column.pointedTo && !table.key.includes(column),
  );
  const rekeyable = table.key.filter((column) => isFree(column) && freshValue(column, 1) !== undefined);
  const updates = updatable.filter((column) => changed(column, 1) !== undefined);
  return [
    ...(canInsert(table) ? [insertion] : []),
    ...(table.key.some((column) => column.identity === 'a' || column.generated) ? [] : [reinsertion]),
    ...updates.map((column) => update(column, updates.length)),
    ...(rekeyable.length > 0 ? [keyChange(rekeyable)] : []),
    ...uniqueSets(table, rekeyable).map(swap),
    deletion,
  ];
}

/** Columns that may get a value of our own: they point to no other table, and choose no partition. */
const isFree = (column: Column): boolean =>
  !column.generated && column.identity !== 'a' && !column.tied && !column.routing;

/** A server-made value, such as a sequence's or a random one; a constant would repeat. */
const isMade = (column: Column): boolean => column.identity !== '' || (column.default?.includes('(') ?? false);

const changed = (column: Column, unique: number): string | undefined =>
  column.unique ? freshValue(column, unique) : alteredValue(column, ident(column.name), unique);

const canInsert = (table: Table): boolean =>
  table.key.some((column) => isMade(column) || (isFree(column) && freshValue(column, 1) !== undefined));

const returning = (table: Table): string => `RETURNING ${keyTexts(table, 't')}`;

/** Copies a row that is there, with a new key and new values where they must be unique. */
const insertion: Operation = {
  name: 'insert',
  weight: (keys) => (keys.size < OwnedKeys.full ? 20 : 4),
  run: (tx, place) => insert(tx, place, undefined),
};

/** Inserts a row under a key that this writer deleted before. */
const reinsertion: Operation = {
  name: 'insert again',
  weight: (keys) => (keys.deletedCount > 0 ? 6 : 0),
  run: async (tx, place) => {
    const key = place.keys.takeDeleted();
    return key !== undefined && !tx.has(place.table, key) && insert(tx, place, key);
  },
};

/** @param again the key to use; undefined for a new one. */
async function insert(tx: Transaction, { table, keys, unique }: Place, again: Key | undefined): Promise<boolean> {
  const template = keys.pick();
  const width = template ? table.key.length : 0;
  const values = table.columns.flatMap((column): [string, string][] => {
    const part = table.key.indexOf(column);
    const value =
      again && part >= 0
        ? `$${width + part + 1}::text::${column.type}`
        : insertedValue(table, column, unique(), template !== undefined);
    return value === undefined ? [] : [[column.name, value]];
  });
  const list = values.map(([, value]) => value).join(', ');
  const rows = template ? `SELECT ${list} FROM ${from(table)} s WHERE ${keyEquals(table, 's')}` : `VALUES (${list})`;
  const result = await tx.session.query<Record<string, string>>(
    `INSERT INTO ${qualified(table.schema, table.name)} AS t
      ${values.length === 0 ? 'DEFAULT VALUES' : `(${identList(values.map(([name]) => name))}) ${rows}`}
      ${returning(table)}`,
    [...(template ?? []), ...(again ?? [])],
  );
  if (!result.rows[0]) return false;
  const key = keyOf(table, result.rows[0]);
  tx.wrote(table, key, 'insert', null);
  tx.onCommit(() => keys.add(key, true));
  return true;
}

/** Undefined leaves the column to its default. */
function insertedValue(table: Table, column: Column, unique: number, copy: boolean): string | undefined {
  if (column.generated || column.identity === 'a') return undefined;
  const inKey = table.key.includes(column);
  if (inKey && isMade(column)) return undefined;
  const needsNew = (inKey || column.unique) && isFree(column);
  const fresh = needsNew || !copy ? freshValue(column, unique) : undefined;
  if (needsNew && fresh) return fresh;
  if (copy) return `s.${ident(column.name)}`;
  if (column.default !== null || (column.tied && !column.notNull)) return undefined;
  return fresh ?? alteredValue(column, `NULL::${column.type}`, unique);
}

const update = (column: Column, siblings: number): Operation => ({
  name: `update ${column.name}`,
  weight: () => 55 / siblings,
  run: async (tx, { table, keys, unique }) => {
    const key = keys.pick();
    if (!key) return false;
    const before = await tx.lock(table, key);
    if (before === null) return forget(tx, { table, keys }, key);
    const toNull = !column.notNull && Math.random() < 1 / 16;
    const value = toNull ? 'NULL' : changed(column, unique())!;
    await tx.session.query(
      `UPDATE ${from(table)} t SET ${ident(column.name)} = ${value} WHERE ${keyEquals(table, 't')}`,
      [...key],
    );
    tx.wrote(table, key, 'update', before);
    return true;
  },
});

/** Gives a row another key. Rows that a foreign key may point to keep theirs. */
const keyChange = (columns: Column[]): Operation => ({
  name: 'change key',
  weight: () => 7,
  run: async (tx, { table, keys, unique }) => {
    const key = keys.pick((each) => !tx.has(table, each) && (!table.referenced || keys.isBorn(each)));
    if (!key) return false;
    const before = await tx.lock(table, key);
    if (before === null) return forget(tx, { table, keys }, key);
    const values = columns.map((column) => `${ident(column.name)} = ${freshValue(column, unique())}`);
    const { rows } = await tx.session.query<Record<string, string>>(
      `UPDATE ${from(table)} t SET ${values.join(', ')} WHERE ${keyEquals(table, 't')} ${returning(table)}`,
      [...key],
    );
    if (!rows[0]) return false;
    const moved = keyOf(table, rows[0]);
    const born = keys.isBorn(key);
    tx.wrote(table, key, 'key', before);
    tx.wrote(table, moved, 'key', null);
    tx.onCommit(() => {
      keys.remove(key);
      keys.add(moved, born);
    });
    return true;
  },
});

/** Sets of columns whose values two rows can exchange: of unique constraints, and the key where nobody points to it. */
function uniqueSets(table: Table, rekeyable: Column[]): Column[][] {
  const byName = (name: string): Column => table.columns.find((column) => column.name === name)!;
  const sets = table.uniques.map((names) =>
    names.map(byName).filter((column) => isFree(column) && !column.pointedTo && !table.key.includes(column)),
  );
  if (!table.referenced && rekeyable.length === table.key.length) sets.push(rekeyable);
  return sets.filter((set) => set.length > 0 && set.every((column) => freshValue(column, 1) !== undefined));
}

/** Two rows exchange their unique values, one of them by way of a third value, as an application does it. */
const swap = (columns: Column[]): Operation => ({
  name: `swap ${columns.map((column) => column.name).join(', ')}`,
  weight: () => 6,
  run: async (tx, { table, keys, unique }) => {
    const one = keys.pick((each) => !tx.has(table, each));
    const other = keys.pick((each) => each !== one && !tx.has(table, each));
    if (!one || !other) return false;
    const before = [await tx.lock(table, one), await tx.lock(table, other)] as const;
    if (before[0] === null) return forget(tx, { table, keys }, one);
    if (before[1] === null) return forget(tx, { table, keys }, other);
    const read = async (key: Key): Promise<(string | null)[]> => {
      const list = columns.map(({ name }, i) => `t.${ident(name)}::text AS v${i}`).join(', ');
      const { rows } = await tx.session.query<Record<string, string | null>>(
        `SELECT ${list} FROM ${from(table)} t WHERE ${keyEquals(table, 't')}`,
        [...key],
      );
      return columns.map((_, i) => rows[0]?.[`v${i}`] ?? null);
    };
    const set = async (key: Key, values: (string | null)[]): Promise<Key> => {
      const width = table.key.length;
      const list = columns.map(({ name, type }, i) => `${ident(name)} = $${width + 1 + i}::text::${type}`).join(', ');
      const { rows } = await tx.session.query<Record<string, string>>(
        `UPDATE ${from(table)} t SET ${list} WHERE ${keyEquals(table, 't')} ${returning(table)}`,
        [...key, ...values],
      );
      return rows[0] ? keyOf(table, rows[0]) : key;
    };
    const [mine, theirs] = [await read(one), await read(other)];
    const between = columns.map((column) => `${freshValue(column, unique())}::text`).join(', ');
    const { rows } = await tx.session.query<{ values: string[] }>(`SELECT ARRAY[${between}] AS values`);
    const parked = await set(one, rows[0]!.values);
    await set(other, mine);
    await set(parked, theirs);
    tx.wrote(table, one, 'update', before[0]);
    tx.wrote(table, other, 'update', before[1]);
    return true;
  },
});

/** Deletes a row; where foreign keys point to the table, only one that this writer inserted. */
const deletion: Operation = {
  name: 'delete',
  weight: (keys) => (keys.size < 2 ? 0 : keys.size < OwnedKeys.full ? 12 : 30),
  run: async (tx, { table, keys }) => {
    const key = keys.pick((each) => !tx.has(table, each) && (!table.referenced || keys.isBorn(each)));
    if (!key) return false;
    const before = await tx.lock(table, key);
    if (before === null) return forget(tx, { table, keys }, key);
    await remove(tx, table, key);
    tx.wrote(table, key, 'delete', before);
    tx.onCommit(() => {
      keys.remove(key);
      keys.deleted(key);
    });
    return true;
  },
};

const remove = (tx: Transaction, table: Table, key: Key): Promise<unknown> =>
  tx.session.query(`DELETE FROM ${from(table)} t WHERE ${keyEquals(table, 't')}`, [...key]);

/** A row that should be there is not: nothing more is written to it, so that the ledger's last word stands. */
function forget(tx: Transaction, { table, keys }: Pick<Place, 'table' | 'keys'>, key: Key): boolean {
  if (!tx.has(table, key)) keys.remove(key);
  return false;
}
