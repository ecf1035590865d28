import type { Client } from 'pg';
import { fenceSource, type FenceProof } from '../../../assets/agent/fence/source';
import { startMigration, type TestMigration } from '../../helpers/migration';

/** Tables of every kind that can be written. */
export const TABLES = `
  CREATE SCHEMA "Left Out";
  CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0);
  CREATE TABLE child (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE);
  CREATE TABLE "Left Out"."Order" (id int PRIMARY KEY);
  CREATE TABLE keyless (v text);
  CREATE UNLOGGED TABLE volatile (v text);
  CREATE TABLE measure (at int, v int) PARTITION BY RANGE (at);
  CREATE TABLE measure_low PARTITION OF measure FOR VALUES FROM (0) TO (100);
  CREATE TABLE measure_high PARTITION OF measure FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (at);
  CREATE TABLE measure_top PARTITION OF measure_high FOR VALUES FROM (100) TO (200);
  CREATE SEQUENCE counter;
  INSERT INTO item VALUES (1), (2); INSERT INTO child VALUES (1, 1); INSERT INTO measure VALUES (1), (101)`;

/** SQLSTATE by which the fence refuses. */
export const REFUSED = '25006';

/** What an application may try. */
export const WRITES: [string, string][] = [
  ['INSERT', 'INSERT INTO item VALUES (9)'],
  ['INSERT of nothing', 'INSERT INTO item SELECT 9 WHERE false'],
  ['INSERT … ON CONFLICT', 'INSERT INTO item VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 1'],
  ['UPDATE', 'UPDATE item SET n = 1'],
  ['DELETE that cascades', 'DELETE FROM item WHERE id = 1'],
  ['DELETE of the owner', 'SET ROLE owner; DELETE FROM child'],
  ['TRUNCATE', 'TRUNCATE item CASCADE'],
  ['TRUNCATE of the owner', 'SET ROLE owner; TRUNCATE keyless'],
  ['COPY', `COPY keyless FROM PROGRAM 'echo 1'`],
  ['a write within WITH', 'WITH w AS (UPDATE item SET n = 1 RETURNING id) SELECT * FROM w'],
  ["a function with its owner's rights", 'SET ROLE clerk; SELECT add_item(9)'],
  ['INSERT through a partitioned table', 'INSERT INTO measure VALUES (2)'],
  ['INSERT into a leaf', 'INSERT INTO measure_low VALUES (2)'],
  ['INSERT into a leaf of a partition that is partitioned', 'INSERT INTO measure_top VALUES (102)'],
  ['UPDATE that moves a row to another leaf', 'UPDATE measure SET at = 102 WHERE at = 1'],
  ['DELETE through a partitioned table', 'DELETE FROM measure_high'],
  ['TRUNCATE of a partitioned table', 'TRUNCATE measure'],
  ['TRUNCATE of a leaf', 'TRUNCATE measure_low'],
  ['a write to a schema that is not migrated', 'INSERT INTO "Left Out"."Order" VALUES (1)'],
  ['a write to a table without key', 'DELETE FROM keyless'],
  ['a write to an unlogged table', `INSERT INTO volatile VALUES ('x')`],
];

export const codeOf = (error: unknown): string => (error as { code: string }).code;

/** The error code of a statement; none when it passed, in which case it is taken back. */
export async function refusal(client: Client, statement: string): Promise<string | undefined> {
  try {
    await client.query(`BEGIN; ${statement}; ROLLBACK`);
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK');
    return codeOf(error);
  }
}

/** A migration whose source is fenced. */
export interface AroundSource {
  readonly migration: TestMigration;
  /** A superuser's session on the source; anew after a crash. */
  source: Client;
  /** A session of ours. */
  session(): Promise<Client>;
  /** A session of ours that stands still before the statements that begin so, as if the host slept. */
  sleepy(start: string, until: () => Promise<unknown>): Promise<Client>;
  /**
   * @param budgetSeconds until the deadline. @default 60
   * @param giveUpMs how long the locks are tried for. @default 5000
   */
  fence(budgetSeconds?: number, giveUpMs?: number): Promise<FenceProof>;
}

/** Starts it for the tests of this file; before each of them no fence stands there. */
export function aroundSource(): AroundSource {
  const here = {
    session: async () => (await here.migration.context('cutover')).connect('source'),
    sleepy: async (start: string, until: () => Promise<unknown>) => {
      const client = await here.session();
      const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      client.query = (async (...args: unknown[]) => {
        if (String(args[0]).trim().startsWith(start)) await until();
        return query(...args);
      }) as unknown as typeof client.query;
      return client;
    },
    fence: async (budgetSeconds = 60, giveUpMs = 5_000) =>
      fenceSource(await here.session(), budgetSeconds, performance.now() + giveUpMs),
  } as { -readonly [Part in keyof AroundSource]: AroundSource[Part] };
  beforeAll(async () => {
    here.migration = await startMigration();
    here.source = await here.migration.admin('source');
    await here.source.query(TABLES);
    await here.source.query(`
      CREATE ROLE clerk LOGIN; CREATE ROLE owner LOGIN;
      CREATE FUNCTION add_item(i int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO public.item VALUES (i); END';
      GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; ALTER TABLE child OWNER TO owner; ALTER TABLE keyless OWNER TO owner`);
  });
  afterAll(() => here.migration?.stop());
  beforeEach(async () => {
    await here.source.query('SET client_min_messages = warning; DROP SCHEMA IF EXISTS ibex CASCADE');
  });
  return here;
}
