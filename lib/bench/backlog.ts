import { join } from 'node:path';
import { Failure } from '../../assets/agent/errors';
import { DEBIAN_POSTGRES } from '../rehearsal/lab/packages';
import { runProgram } from './program';
import type { BenchServers } from './servers';

/** The table whose changes are applied: pgbench's accounts, about 100 bytes a row. */
export const TABLE = 'pgbench_accounts';

/** Its queue of changed keys, as Bucardo names it, and as capture of ours does. */
export const QUEUE = `bucardo.delta_public_${TABLE}`;

/** Transactions that a backlog comes from. */
const TRANSACTIONS = 20;

/** A prime that divides no size of ours, so that its multiples are all keys once, in an order like that of chance. */
const STEP = 1_299_709;

const ACCOUNTS_PER_SCALE = 100_000;

/** Does the same on both ends at once. */
const onBothEnds = async (work: (end: 'source' | 'target') => Promise<void>): Promise<void> =>
  void (await Promise.all([work('source'), work('target')]));

/** Makes one database on both ends with equal accounts. Other databases of the same contents are made from it. */
export const makeAccounts = (servers: BenchServers, database: string, keys: number): Promise<void> =>
  onBothEnds(async (end) => {
    await createDatabase(servers, end, database);
    await runProgram(
      join(DEBIAN_POSTGRES, 'pgbench'),
      ['--initialize', '--quiet', `--scale=${keys / ACCOUNTS_PER_SCALE}`, servers.address(end, database)],
      servers.environment,
    );
    const client = await servers.connect(end, database);
    await client.query('DROP TABLE pgbench_history, pgbench_tellers, pgbench_branches');
    await client.end();
  });

/** The same without the filler, which takes most of a row: where keys count, and not bytes. */
export const makeNarrowAccounts = (servers: BenchServers, database: string, keys: number): Promise<void> =>
  onBothEnds(async (end) => {
    await createDatabase(servers, end, database);
    const client = await servers.connect(end, database);
    await client.query(`
      CREATE TABLE ${TABLE} (aid int NOT NULL, bid int, abalance int);
      INSERT INTO ${TABLE} SELECT i, (i - 1) / ${ACCOUNTS_PER_SCALE} + 1, 0 FROM generate_series(1, ${keys}) AS i;
      ALTER TABLE ${TABLE} ADD PRIMARY KEY (aid)`);
    await client.query(`VACUUM ANALYZE ${TABLE}`);
    await client.end();
  });

/** Makes a further database on both ends with the same contents, its files copied: nobody needs them in the log. */
export const cloneDatabase = (servers: BenchServers, template: string, name: string): Promise<void> =>
  onBothEnds((end) => createDatabase(servers, end, `${name} TEMPLATE ${template} STRATEGY file_copy`));

/** Gives a database of both ends another name. */
export const renameDatabase = (servers: BenchServers, from: string, to: string): Promise<void> =>
  onBothEnds((end) => tell(servers, end, `ALTER DATABASE ${from} RENAME TO ${to}`));

const createDatabase = (servers: BenchServers, end: 'source' | 'target', database: string): Promise<void> =>
  tell(servers, end, `CREATE DATABASE ${database}`);

async function tell(servers: BenchServers, end: 'source' | 'target', statement: string): Promise<void> {
  const admin = await servers.connect(end);
  await admin.query(statement);
  await admin.end();
}

/** How a backlog is made. */
export interface Backlog {
  /** Rows of the table. */
  readonly rows: number;
  /** How many of them are changed. */
  readonly changed: number;
  /**
   * How many of these rows are really written. A key in the queue costs the same when its row is as it was.
   *
   * @default all that are changed
   */
  readonly written?: number;
}

/** Keys of the table, from the so manyth on, in an order like that of chance. */
const keysOf = (rows: number, first: number, count: number): string =>
  `SELECT ((i::bigint * ${STEP}) % ${rows} + 1)::int AS aid FROM generate_series(${first}, ${first + count - 1}) i`;

/** Changes rows of the source, all over the table, in twenty transactions. No trigger notes it. */
export async function changeRows(servers: BenchServers, database: string, backlog: Backlog): Promise<void> {
  const { rows, changed, written = changed } = backlog;
  const [each, some] = [changed / TRANSACTIONS, written / TRANSACTIONS];
  const client = await servers.connect('source', database);
  await client.query(`SET session_replication_role = 'replica'`);
  for (let n = 0; n < TRANSACTIONS; n += 1) {
    await client.query(
      `WITH k AS (${keysOf(rows, n * each, some)})
       UPDATE ${TABLE} AS t SET abalance = abalance + 1 FROM k WHERE t.aid = k.aid`,
    );
  }
  await client.end();
}

/** Puts the keys of changed rows into the queue, as the triggers would, only faster, in twenty transactions. */
export async function queueKeys(servers: BenchServers, database: string, backlog: Backlog): Promise<void> {
  const each = backlog.changed / TRANSACTIONS;
  const client = await servers.connect('source', database);
  for (let n = 0; n < TRANSACTIONS; n += 1) {
    await client.query(`INSERT INTO ${QUEUE} (aid) ${keysOf(backlog.rows, n * each, each)}`);
  }
  await client.end();
}

/** Has both ends write what they keep in memory, so that no round pays for what was before it. */
export const settle = (servers: BenchServers): Promise<void> => onBothEnds((end) => tell(servers, end, 'CHECKPOINT'));

/** Throws Failure when the accounts of both ends differ. */
export async function expectEqualAccounts(servers: BenchServers, database: string, way: string): Promise<void> {
  const [source, target] = await Promise.all(
    (['source', 'target'] as const).map(async (end) => {
      const client = await servers.connect(end, database);
      const { rows } = await client.query(
        `SELECT count(*)::text AS n, sum(hashtext(t::text)::bigint)::text AS sum FROM ${TABLE} AS t`,
      );
      await client.end();
      return JSON.stringify(rows[0]);
    }),
  );
  if (source !== target) throw new Failure(`${way} left ${target} on the target instead of ${source}`);
}
