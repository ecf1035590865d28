import type { Client } from 'pg';
import { installCapture } from '../../../assets/agent/capture/install';
import { installShared } from '../../../assets/agent/capture/objects';
import { readRelations, type Relation } from '../../../assets/agent/catalog/relations';
import { applyChanges, type Sessions } from '../../../assets/agent/catch-up/apply';
import { applyFew } from '../../../assets/agent/catch-up/apply-few';
import type { Context } from '../../../assets/agent/context';
import { Lease, prepareLeases } from '../../../assets/agent/lease';
import { qualified } from '../../../assets/agent/sql';
import { startMigration, type TestMigration } from '../../helpers/migration';

/** Both ends with equal tables, the source captured, and catch-up as the applier. */
export interface Moving {
  readonly migration: TestMigration;
  readonly context: Context;
  /** Sessions of the application on the source, and of a superuser on the target; new ones after a restart. */
  readonly source: Client;
  readonly target: Client;
  lease: Lease;
  relation(name: string): Relation;
  relations(): Relation[];
  /** A pair of sessions as catch-up has them. */
  sessions(): Promise<Sessions>;
  /** Applies the changes of one table of schema public. */
  apply(name: string, way?: typeof applyChanges): Promise<number>;
  /** Rows of a table as text, in order; floats by their bytes. */
  rows(end: 'source' | 'target', name: string): Promise<string[]>;
  /** Changes in the queue of a table. */
  queued(name: string): Promise<number>;
  /** Opens the sessions of `source` and `target` again. */
  reconnect(): Promise<void>;
}

/** The two ways of catch-up with one table: by itself, or as one of several with few changes. Return the keys applied. */
export const WAYS = [
  ['by itself', applyChanges],
  [
    'among those with few changes',
    async (sessions: Sessions, lease: Lease, relation: Relation): Promise<number> =>
      (await applyFew(sessions, lease, [relation])).keys,
  ],
] as const;

/** Makes the tables on both ends, their constraints in place, and captures them. */
export async function startMoving(tables: string, rows: string): Promise<Moving> {
  const migration = await startMigration();
  try {
    return await setUp(migration, tables, rows);
  } catch (error) {
    await migration.stop();
    throw error;
  }
}

/** The same with one table `item`, whose labels are unique, and so many rows in it. */
export const startItems = (rows: number): Promise<Moving> =>
  startMoving(
    'CREATE TABLE public.item (id int PRIMARY KEY, label text UNIQUE, filler text)',
    `INSERT INTO item SELECT i, 'l' || i, repeat('x', 500) FROM generate_series(1, ${rows}) i`,
  );

/** Expects `item` to be equal on both ends, and nothing to be queued. */
export async function expectItemsEqual(moving: Moving): Promise<void> {
  const expected = await moving.rows('source', 'item');
  expect(await moving.rows('target', 'item')).toEqual(expected);
  expect(await moving.queued('item')).toBe(0);
}

async function setUp(migration: TestMigration, tables: string, rows: string): Promise<Moving> {
  const context = await migration.context('sync');
  const [source, target] = [await migration.admin('source'), await migration.admin('target')];
  await target.query('CREATE EXTENSION citext; SET ROLE master');
  await source.query('CREATE EXTENSION citext');
  for (const client of [source, target]) await client.query(tables);
  await target.query('RESET ROLE');
  const owner = await context.connect('source');
  const relations = await readRelations(owner, migration.config);
  const master = await context.connect('target');
  await prepareLeases(master, relations);
  await installShared(owner);
  const moving: Moving & { source: Client; target: Client } = {
    migration,
    context,
    source,
    target,
    lease: await Lease.take(master, 'catch-up'),
    relations: () => relations,
    relation: (name) => {
      const found = relations.find((relation) => relation.schema === 'public' && relation.name === name);
      if (!found) throw new Error(`no table ${name}`);
      return found;
    },
    sessions: async () => ({
      source: await context.connect('source', 'catch-up'),
      target: await context.connect('target', 'catch-up'),
      ask: (work) => context.with('source', work),
    }),
    apply: async (name, way = applyChanges) => {
      const pair = await moving.sessions();
      try {
        return await way(pair, moving.lease, moving.relation(name));
      } finally {
        await Promise.allSettled([pair.source.end(), pair.target.end()]);
      }
    },
    rows: async (end, name) => {
      const list = moving
        .relation(name)
        .columns.map(({ name: column, type }) =>
          type === 'double precision' ? `float8send("${column}")` : `"${column}"`,
        );
      const table = qualified('public', name);
      const { rows: found } = await moving[end].query(`SELECT ROW(${list.join(', ')})::text AS row FROM ONLY ${table}`);
      return (found as { row: string }[]).map((each) => each.row).sort();
    },
    queued: async (name) => {
      const { rows: found } = await moving.source.query(
        `SELECT count(*)::int AS n FROM bucardo."delta_public_${name}"`,
      );
      return (found[0] as { n: number }).n;
    },
    reconnect: async () => {
      moving.source = await migration.admin('source');
      moving.target = await migration.admin('target');
    },
  };
  for (const relation of relations) {
    await installCapture(context, owner, relation);
  }
  await source.query(rows);
  for (const relation of relations) await moving.apply(relation.name);
  return moving;
}

/** Makes a session call `before` ahead of each statement, which waits for it; but for one that is an object without COPY. */
export function intercept(client: Client, before: (text: string) => Promise<unknown> | undefined): Client {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  client.query = ((...args: unknown[]) => {
    const [first] = args;
    const waiting = before(typeof first === 'string' ? first.trim() : (first as { text: string }).text.trim());
    if (waiting === undefined) return query(...args);
    if (typeof first === 'string') return waiting.then(() => query(...args));
    // COPY must be taken at once, and is sent later.
    const copy = first as { submit?: (connection: unknown) => void };
    const { submit } = copy;
    if (submit) copy.submit = (connection) => void waiting.then(() => submit.call(copy, connection));
    return query(...args);
  }) as typeof client.query;
  return client;
}

/** Ends a session as whoever administers its server does. */
export function terminate(moving: Moving, end: 'source' | 'target', client: Client): Promise<unknown> {
  const { processID: pid } = client as unknown as { readonly processID: number };
  return moving[end].query('SELECT pg_terminate_backend($1)', [pid]);
}

/** Has the server commit, and closes the connection, so that whoever asks for that COMMIT gets no answer to it. */
export async function commitUnanswered(client: Client): Promise<void> {
  // Not the one that calls `before`.
  const { query } = Object.getPrototypeOf(client) as { query(text: string): Promise<unknown> };
  await query.call(client, 'COMMIT');
  cutOff(client);
}

/** Closes connections as the end of the process does: whatever is on its way stays so, and nobody says goodbye. */
export function cutOff(...clients: readonly Client[]): void {
  for (const client of clients) {
    client.on('error', () => undefined);
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }
}
