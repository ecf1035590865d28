import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import {
  armFence,
  closeTarget,
  fenceGaps,
  fenceSource,
  isPastNoReturn,
  letWait,
  makeFenceFinal,
  openSource,
  openTarget,
  removeFence,
} from '../../assets/agent/fence';
import { readFenceState } from '../../assets/agent/fence/objects';
import { startMigration, type TestMigration } from '../helpers/migration';

const TABLES = `
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

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query(TABLES);
  await source.query(`
    CREATE ROLE clerk LOGIN; CREATE ROLE owner LOGIN;
    CREATE FUNCTION add_item(i int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO public.item VALUES (i); END';
    GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; ALTER TABLE child OWNER TO owner; ALTER TABLE keyless OWNER TO owner`);
});
afterAll(() => migration.stop());
beforeEach(unfence);

/** The source as it was before a fence stood there. */
async function unfence(): Promise<void> {
  await source.query('SET client_min_messages = warning; DROP SCHEMA IF EXISTS ibex CASCADE');
}

/** A session of ours. */
async function session(): Promise<Client> {
  const context = await migration.context('cutover');
  return context.connect('source');
}

const fence = async (budgetSeconds = 60, giveUpMs = 5_000) =>
  fenceSource(await session(), budgetSeconds, Date.now() + giveUpMs);

const codeOf = (error: unknown): string => (error as { code: string }).code;

/** The error code of a statement; none when it passed, in which case it is taken back. */
async function refusal(client: Client, statement: string): Promise<string | undefined> {
  try {
    await client.query(`BEGIN; ${statement}; ROLLBACK`);
    return undefined;
  } catch (error) {
    await client.query('ROLLBACK');
    return codeOf(error);
  }
}

const REFUSED = '25006';

/** What an application may try. */
const WRITES: [string, string][] = [
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

describe('the fence around the source', () => {
  it.each(WRITES)('lets %s through before it stands, and not after', async (_, statement) => {
    expect(await refusal(source, statement)).toBeUndefined();
    await fence();
    expect(await refusal(source, statement)).toBe(REFUSED);
  });

  it('says what was refused, where and what to do', async () => {
    await fence();
    await expect(source.query('INSERT INTO "Left Out"."Order" VALUES (1)')).rejects.toThrow(
      'cannot execute INSERT on "Left Out"."Order": this database is being moved (Ibex cutover); reconnect and try again',
    );
  });

  it.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])(
    'holds for a %s transaction that began before it and looks at an older snapshot',
    async (level) => {
      const old = await migration.admin('source');
      await old.query('PREPARE w AS UPDATE item SET n = n + 1 WHERE id = 1');
      await old.query(`BEGIN; EXECUTE w; SELECT add_item(77); ROLLBACK`);
      await old.query(`BEGIN ISOLATION LEVEL ${level}`);
      await old.query('SELECT * FROM item');
      await fence();
      for (const statement of ['EXECUTE w', 'SELECT add_item(78)', 'INSERT INTO measure VALUES (3)']) {
        await old.query('SAVEPOINT s');
        expect(await old.query(statement).then(() => 'passed', codeOf)).toBe(REFUSED);
        await old.query('ROLLBACK TO s');
      }
      await old.query('COMMIT');
      await old.end();
    },
  );

  it('lets pass what it must: reading, row locks, temporary tables, sequences', async () => {
    await fence();
    const statement = `SELECT * FROM item FOR UPDATE; CREATE TEMP TABLE t (i int); INSERT INTO t VALUES (1); SELECT nextval('counter')`;
    expect(await refusal(source, statement)).toBeUndefined();
  });

  it('lets appliers in replica role pass, through a partitioned table too', async () => {
    await fence();
    const applier = `SET LOCAL session_replication_role = 'replica'; `;
    for (const [, statement] of WRITES) {
      if (!statement.includes('SET ROLE')) expect(await refusal(source, applier + statement)).toBeUndefined();
    }
  });

  it('can be put up again, over one that was opened, and tells how many tables it is around', async () => {
    expect(await fence()).toMatchObject({ tables: 9, attempts: 1 });
    expect(await openSource(await session())).toBe('open');
    expect(await refusal(source, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    expect(await fence()).toMatchObject({ tables: 9, attempts: 1 });
    expect(await refusal(source, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
  });

  it('takes in a table that was made after an earlier fence', async () => {
    await fence();
    await openSource(await session());
    await source.query('CREATE TABLE late (id int)');
    await fence();
    expect(await refusal(source, 'INSERT INTO late VALUES (1)')).toBe(REFUSED);
    await source.query('DROP TABLE late');
  });
});

describe('fencing', () => {
  it('waits for a writer that is at work, whose write then is whole', async () => {
    const writer = await migration.admin('source');
    await writer.query('BEGIN; UPDATE item SET n = 41 WHERE id = 2');
    const proof = fence();
    await sleep(200);
    await writer.query('UPDATE item SET n = n + 1 WHERE id = 2; COMMIT');
    expect((await proof).attempts).toBe(1);
    expect((await source.query('SELECT n FROM item WHERE id = 2')).rows).toEqual([{ n: 42 }]);
    await writer.end();
  });

  it('steps back before an application that locks in another order fails for it', async () => {
    const one = await migration.admin('source');
    await one.query(`BEGIN; LOCK TABLE measure_top IN ROW EXCLUSIVE MODE`);
    const proof = fence(60, 20_000);
    await sleep(100);
    // Asks for a table that the fence has locked already, while the fence waits for the first one.
    await one.query('LOCK TABLE "Left Out"."Order" IN ROW EXCLUSIVE MODE');
    await one.query('ROLLBACK');
    expect((await proof).tables).toBe(9);
    await one.end();
  });

  it('fails within its budget while a prepared transaction is open, and leaves nothing fenced', async () => {
    await source.query(`BEGIN; INSERT INTO child VALUES (8, 2); PREPARE TRANSACTION 'left behind'`);
    try {
      const begun = Date.now();
      await expect(fence(60, 900)).rejects.toThrow(
        /^writes could not be stopped in \d+ tries: .*lock timeout; they go on as before$/,
      );
      expect(Date.now() - begun).toBeLessThan(2_000);
      for (const [, statement] of WRITES.filter(([what]) => !what.includes('TRUNCATE'))) {
        expect(await refusal(source, statement)).toBeUndefined();
      }
      expect(await readFenceState(source)).toEqual({ kind: 'open' });
    } finally {
      await source.query(`ROLLBACK PREPARED 'left behind'`);
    }
  });

  it('waits for what is prepared while it goes up, and then lets nothing be written that could be prepared', async () => {
    const writer = await migration.admin('source');
    await armFence(await session());
    await writer.query('BEGIN; INSERT INTO child VALUES (8, 2)');
    const proof = fence(60, 20_000);
    while ((await readFenceState(source))?.kind !== 'until') await sleep(5);
    let stands = false;
    void proof.then(() => (stands = true));
    await writer.query(`PREPARE TRANSACTION 'late'`);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'`;
    while ((await source.query(waiting)).rowCount === 0) await sleep(5);
    expect(stands).toBe(false);
    await writer.query(`COMMIT PREPARED 'late'`);
    await proof;
    expect(await source.query('DELETE FROM child WHERE id = 8').then(() => 'passed', codeOf)).toBe(REFUSED);
    await writer.query('BEGIN');
    expect(await writer.query('INSERT INTO child VALUES (9, 2)').then(() => 'passed', codeOf)).toBe(REFUSED);
    await writer.query(`PREPARE TRANSACTION 'later'`);
    expect((await source.query('SELECT FROM pg_prepared_xacts')).rowCount).toBe(0);
    expect((await source.query('SELECT id FROM child ORDER BY id')).rows).toEqual([{ id: 1 }, { id: 8 }]);
    await openSource(await session());
    await source.query('DELETE FROM child WHERE id = 8');
    await writer.end();
  });

  it('with its triggers there beforehand, refuses a transaction at work its next write, so that nobody runs into a deadlock', async () => {
    expect(await armFence(await session())).toEqual([]);
    for (const [, statement] of WRITES) expect(await refusal(source, statement)).toBeUndefined();
    const writer = await migration.admin('source');
    await writer.query('BEGIN; INSERT INTO measure_top VALUES (150)');
    const proof = fence(60, 20_000);
    while ((await readFenceState(source))?.kind !== 'until') await sleep(5);
    // The fence holds the locks of the tables before the one that it waits for, and lets go of them in time.
    const next = await writer.query('INSERT INTO child VALUES (9, 1)').then(() => 'passed', codeOf);
    await writer.end();
    expect(next).toBe(REFUSED);
    expect((await proof).attempts).toBeLessThanOrEqual(3);
  });

  it('gets its triggers there beforehand but for tables that are busy, which it names', async () => {
    const busy = await migration.admin('source');
    await busy.query('BEGIN; INSERT INTO child VALUES (9, 1)');
    const left = await armFence(await session()).finally(() => busy.end());
    expect(left).toEqual(['"public"."child"']);
    expect(await armFence(await session())).toEqual([]);
    await fence();
    expect(await refusal(source, 'INSERT INTO child VALUES (9, 1)')).toBe(REFUSED);
  });

  it('does not wait for an autovacuum to end', async () => {
    await source.query(`
      ALTER SYSTEM SET autovacuum_naptime = '1s'`);
    await source.query('SELECT pg_reload_conf()');
    await source.query(`
      CREATE TABLE swept WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1) AS
      SELECT i, repeat('x', 500) AS filler FROM generate_series(1, 20000) i`);
    await source.query('DELETE FROM swept WHERE i % 2 = 0');
    const sweeping = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%public.swept%'`;
    while ((await source.query(sweeping)).rowCount === 0) await sleep(50);
    try {
      // The fifth try is the first that waits for longer than deadlock_timeout, when the server sends it away.
      expect((await fence(60, 12_000)).attempts).toBeLessThanOrEqual(5);
    } finally {
      await source.query('ALTER SYSTEM RESET autovacuum_naptime');
      await source.query('SELECT pg_reload_conf()');
      await source.query('DROP TABLE swept');
    }
  });
});

describe('the deadline', () => {
  it('opens the source by itself, not before it has passed', async () => {
    const { deadline } = await fence(1.5);
    const passed = `SELECT clock_timestamp() >= $1::timestamptz AS passed`;
    for (let refused = 0; ; refused += 1) {
      const open = (await refusal(source, 'INSERT INTO item VALUES (9)')) === undefined;
      const { rows } = await source.query(passed, [deadline]);
      if (open) {
        expect(rows).toEqual([{ passed: true }]);
        expect(refused).toBeGreaterThan(2);
        break;
      }
      expect(refused).toBeLessThan(1_000);
      await sleep(50);
    }
    expect(await refusal(source, 'INSERT INTO measure_top VALUES (102)')).toBeUndefined();
  });

  it('holds also over a crash of the server', async () => {
    const { deadline } = await fence(60);
    await migration.source.kill();
    await migration.source.start();
    source = await migration.admin('source');
    expect(await refusal(source, 'UPDATE item SET n = 1')).toBe(REFUSED);
    expect(await readFenceState(source)).toEqual({ kind: 'until', deadline });
    expect(await openSource(await session())).toBe('open');
    expect(await refusal(source, 'UPDATE item SET n = 1')).toBeUndefined();
  });

  it('is told by the state of the fence', async () => {
    expect(await readFenceState(source)).toBeUndefined();
    const { deadline } = await fence();
    expect(await readFenceState(source)).toEqual({ kind: 'until', deadline });
    await openSource(await session());
    expect(await readFenceState(source)).toEqual({ kind: 'open' });
  });
});

describe('the point of no return', () => {
  it('makes the fence final: it has no deadline, is not opened, and not put up anew with one', async () => {
    const { deadline } = await fence(3);
    await makeFenceFinal(await session(), deadline);
    expect(await isPastNoReturn(source)).toBe(true);
    expect(await openSource(await session())).toBe('final');
    await expect(fence(60, 300)).rejects.toThrow('another run has made its fence final');
    expect(await readFenceState(source)).toEqual({ kind: 'final' });
    await sleep(3_000);
    expect(await refusal(source, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
  });

  it('is refused when the deadline is nearer than the margin, and the source opens by itself', async () => {
    const { deadline } = await fence(1.5);
    await expect(makeFenceFinal(await session(), deadline)).rejects.toThrow(
      `the time budget is spent (writes are let through again at ${deadline})`,
    );
    expect(await isPastNoReturn(source)).toBe(false);
    while ((await refusal(source, 'INSERT INTO item VALUES (9)')) !== undefined) await sleep(50);
  });

  it('is refused when the fence is not the one that this run put up', async () => {
    const { deadline } = await fence();
    await openSource(await session());
    await expect(makeFenceFinal(await session(), deadline)).rejects.toThrow('another run has changed it');
    await fence();
    await expect(makeFenceFinal(await session(), deadline)).rejects.toThrow('another run has changed it');
    expect(await isPastNoReturn(source)).toBe(false);
  });

  /** A session that stands still before the statements that begin so, as if the host slept. */
  async function sleepy(start: string, until: () => Promise<unknown>): Promise<Client> {
    const client = await session();
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
    client.query = (async (...args: unknown[]) => {
      if (String(args[0]).trim().startsWith(start)) await until();
      return query(...args);
    }) as unknown as typeof client.query;
    return client;
  }

  it('lets no write slip in while this program stands still beyond the deadline', async () => {
    const { deadline } = await fence(2.5);
    let write: Promise<string> | undefined;
    const stopped = await sleepy('CREATE OR REPLACE FUNCTION', async () => {
      await source.query(`SELECT pg_sleep_until($1::timestamptz + interval '0.1 s')`, [deadline]);
      write = source.query('INSERT INTO item VALUES (999)').then(() => 'passed', codeOf);
      await sleep(200);
    });
    await makeFenceFinal(stopped, deadline);
    expect(await write).toBe(REFUSED);
  });

  it.each([
    ['puts up the fence', async (client: Client) => fenceSource(client, 2, Date.now() + 1_000)],
    ['makes it final', async (client: Client) => makeFenceFinal(client, (await fence(3)).deadline)],
  ])('opens although a host that %s is frozen while it holds the locks', async (_, locks) => {
    await armFence(await session());
    let thaw: () => void = () => undefined;
    const thawed = new Promise<void>((resolve) => (thaw = resolve));
    const frozen = await sleepy('SELECT clock_timestamp()', () => thawed);
    const ended = locks(frozen).then(
      () => 'done',
      () => 'failed',
    );
    const locked = `SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted AND relation = 'item'::regclass`;
    while ((await source.query(locked)).rowCount === 0) await sleep(10);
    const write = `SET LOCAL lock_timeout = '7s'; INSERT INTO item VALUES (9)`;
    for (const until = Date.now() + 9_000; (await refusal(source, write)) !== undefined;) {
      if (Date.now() > until) throw new Error('the source stays shut');
      await sleep(50);
    }
    thaw();
    expect(await ended).toBe('failed');
  });

  it('is waited for by who opens the source at the same moment', async () => {
    const { deadline } = await fence();
    let opened: Promise<string> | undefined;
    const opener = await session();
    const slow = await sleepy('COMMIT', async () => {
      opened = openSource(opener);
      await sleep(300);
    });
    await makeFenceFinal(slow, deadline);
    expect(await opened).toBe('final');
    expect(await readFenceState(source)).toEqual({ kind: 'final' });
  });
});

describe('the end that was left', () => {
  it('refuses writes for good, also over a crash of its server', async () => {
    const { deadline } = await fence();
    await makeFenceFinal(await session(), deadline);
    await migration.source.kill();
    await migration.source.start();
    source = await migration.admin('source');
    expect(await readFenceState(source)).toEqual({ kind: 'final' });
    for (const [, statement] of WRITES) expect(await refusal(source, statement)).toBe(REFUSED);
    expect(await openSource(await session())).toBe('final');
  });

  it('waits for its turn once the other end takes writes, and not before', async () => {
    const context = await migration.context('cutover');
    const target = await context.connect('target');
    await closeTarget(context, target);
    const { deadline } = await fence();
    const own = await session();
    expect(await letWait(own, target)).toBe(false);
    await makeFenceFinal(own, deadline);
    expect(await letWait(own, target)).toBe(false);
    expect(await readFenceState(source)).toEqual({ kind: 'final' });
    await openTarget(target);
    expect(await letWait(own, target)).toBe(true);
    expect(await readFenceState(source)).toEqual({ kind: 'closed' });
    expect(await openSource(own)).toBe('final');
    expect(await refusal(source, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
    expect(await letWait(own, target)).toBe(true);
    await target.query('DROP SCHEMA ibex CASCADE');
  });

  it('is not made final when a table takes writes behind the fence', async () => {
    const { deadline } = await fence();
    await source.query('ALTER TABLE item DISABLE TRIGGER ALL');
    await expect(makeFenceFinal(await session(), deadline)).rejects.toThrow('the fence was altered');
    await source.query('ALTER TABLE item ENABLE TRIGGER ALL');
    await makeFenceFinal(await session(), deadline);
  });
});

describe('the fence around the target', () => {
  let master: Client;
  beforeAll(async () => {
    const context = await migration.context('schema');
    master = await context.connect('target');
    await master.query(`SET search_path = public`);
    await master.query(TABLES);
    await closeTarget(context, master);
  });

  it('refuses the master user, who owns the tables, and lets appliers in replica role pass', async () => {
    const own = WRITES.filter(([, statement]) => !/SET ROLE|PROGRAM/.test(statement));
    for (const [, statement] of own) {
      expect(await refusal(master, statement)).toBe(REFUSED);
      const applied = `SET LOCAL session_replication_role = 'replica'; ${statement}`;
      expect(await refusal(master, applied)).toBeUndefined();
    }
  });

  it('holds also over a crash of its server, and opens after one', async () => {
    await migration.target.kill();
    await migration.target.start();
    master = await (await migration.context('schema')).connect('target');
    await master.query('SET search_path = public');
    expect(await readFenceState(master)).toEqual({ kind: 'closed' });
    expect(await fenceGaps(master)).toEqual([]);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
    await openTarget(master);
    await migration.target.kill();
    await migration.target.start();
    master = await (await migration.context('schema')).connect('target');
    await master.query('SET search_path = public');
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    await closeTarget(await migration.context('schema'), master);
  });

  it('stands for good until it is opened, for all tables at once, and may be closed again', async () => {
    expect(await readFenceState(master)).toEqual({ kind: 'closed' });
    await openTarget(master);
    expect(await readFenceState(master)).toEqual({ kind: 'open' });
    expect(await refusal(master, 'INSERT INTO measure VALUES (3); INSERT INTO item VALUES (9)')).toBeUndefined();
    await closeTarget(await migration.context('schema'), master);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
  });

  it('names each table where it was switched off, on for appliers, or taken off, and is mended by closing again', async () => {
    const context = await migration.context('schema');
    await closeTarget(context, master);
    expect(await fenceGaps(master)).toEqual([]);
    await master.query(`ALTER TABLE item DISABLE TRIGGER USER; ALTER TABLE child ENABLE ALWAYS TRIGGER ibex_fence;
      DROP TRIGGER ibex_fence ON keyless`);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    expect(await fenceGaps(master)).toEqual([
      'the fence of "public"."child" is disabled',
      'the fence of "public"."item" is disabled',
      '"public"."keyless" has no fence',
    ]);
    await closeTarget(context, master);
    expect(await fenceGaps(master)).toEqual([]);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBe(REFUSED);
    expect(await refusal(master, `SET LOCAL session_replication_role = 'replica'; DELETE FROM child`)).toBeUndefined();
  });

  it('is taken off table by table; what is busy, or not ours, is named and keeps a fence that lets through', async () => {
    await openTarget(master);
    await (await migration.admin('target')).query('ALTER TABLE public.keyless OWNER TO postgres');
    const reader = await migration.admin('target');
    await reader.query('BEGIN; SELECT * FROM public.item');
    expect(await removeFence(master)).toEqual([
      '"public"."item" (busy)',
      '"public"."keyless" (must be owner of relation keyless)',
    ]);
    expect(await refusal(master, 'INSERT INTO item VALUES (9)')).toBeUndefined();
    await reader.query('COMMIT');
    await reader.query('ALTER TABLE public.keyless OWNER TO master');
    expect(await removeFence(master)).toEqual([]);
    const { rows } = await master.query(`SELECT count(*)::int AS n FROM pg_trigger WHERE tgname = 'ibex_fence'`);
    expect(rows).toEqual([{ n: 0 }]);
  });

  it('keeps the readers of a busy table waiting for a moment only while it is taken off', async () => {
    await closeTarget(await migration.context('schema'), master);
    await openTarget(master);
    const [reader, another] = [await migration.admin('target'), await migration.admin('target')];
    await reader.query('BEGIN; SELECT * FROM public.item');
    const removed = removeFence(master);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
    while ((await reader.query(waiting)).rowCount === 0) await sleep(5);
    await another.query(`SET statement_timeout = '1s'`);
    await another.query('SELECT * FROM public.item');
    expect(await removed).toEqual(['"public"."item" (busy)']);
    await reader.query('COMMIT');
    expect(await removeFence(master)).toEqual([]);
  });

  it('fails with the cause that no further try mends, whatever was in the way of those before', async () => {
    const writer = await migration.admin('target');
    await writer.query('BEGIN; INSERT INTO public.item VALUES (9)');
    const proof = fenceSource(master, 60, Date.now() + 10_000).catch((error: Error) => error.message);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'`;
    while ((await writer.query(waiting)).rowCount === 0) await sleep(5);
    const other = await migration.admin('target');
    await other.query('CREATE TABLE public.another (id int)');
    expect(await proof).toMatch(/^writes could not be stopped in \d+ tries: permission denied for table another;/);
    await writer.query('ROLLBACK');
    await other.query('DROP TABLE public.another');
  });
});
