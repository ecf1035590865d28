import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import timers, { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { capture } from '../../../assets/agent/capture';
import { checkCapture } from '../../../assets/agent/capture/check';
import { addTruncateTriggers, possibleSyncs } from '../../../assets/agent/capture/truncate-triggers';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { dropCapture } from '../../../assets/agent/cleanup/source';
import type { Context } from '../../../assets/agent/context';
import { PASSWORD, startMigration, type TestMigration } from '../../helpers/migration';
import { intercept } from '../catch-up/moving';
import { forgetCapture, runCapture, takeKeys } from './recorded';

/** Lock time-out of these tests, and what a writer may wait beyond it on a busy machine; milliseconds. */
const LOCK_TIMEOUT_MS = 400;
const TOLERANCE_MS = 200;

const BRIEF = { capture: { lockTimeoutMs: LOCK_TIMEOUT_MS, attempts: 2 } };

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query(`
    CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO item SELECT generate_series(1, 9);
    CREATE SCHEMA "My App.1"; CREATE TABLE "My App.1"."Order of things" ("Id" int PRIMARY KEY)`);
});
afterAll(() => migration.stop());
beforeEach(() => forgetCapture(migration, source));

async function problems(): Promise<string[]> {
  const context = await migration.context('verify');
  const found = await checkCapture(context, await context.connect('source'));
  await context.close();
  return found;
}

/** A session with one transaction open. */
async function holding(statement: string): Promise<Client> {
  const client = await migration.admin('source');
  await client.query(`SET application_name = 'nightly report'`);
  await client.query('BEGIN');
  await client.query(statement);
  return client;
}

/** Writes one row again and again while the work lasts. Returns the longest wait; milliseconds. */
async function longestWrite(work: Promise<unknown>): Promise<number> {
  const writer = await migration.admin('source');
  const state = { longest: 0, busy: true };
  const end = work.catch(() => undefined).finally(() => (state.busy = false));
  while (state.busy) {
    const begun = performance.now();
    await writer.query('UPDATE item SET n = n + 1 WHERE id = 2');
    state.longest = Math.max(state.longest, performance.now() - begun);
  }
  await end;
  await writer.end();
  return state.longest;
}

describe('capture, installed under a writer that does not end', () => {
  let open: Client;
  afterEach(async () => {
    await open.query('ROLLBACK');
    await open.end();
  });

  it('fails after its tries, names the table, who is in the way and what to do, and completes once that has ended', async () => {
    open = await holding('UPDATE item SET n = 100 WHERE id = 1');
    const { rows } = await open.query('SELECT pg_backend_pid() AS pid');
    await expect(runCapture(migration, BRIEF)).rejects.toThrow(
      new RegExp(
        `^"public"."item" was never free for 400 ms in 2 tries; in the way: pid ${(rows[0] as { pid: number }).pid} ` +
          `\\(postgres, nightly report, \\d+ s\\): .*; end that, or wait, and start capture again$`,
      ),
    );
    expect(await problems()).toContain('"public"."item" has no trigger "bucardo_delta"');
    await open.query('COMMIT');
    await runCapture(migration, BRIEF);
    expect(await problems()).toEqual([]);
  });

  it('pauses after each try but the last, longer each time', async () => {
    open = await holding('UPDATE item SET n = 100 WHERE id = 1');
    const pause = jest.spyOn(timers, 'setTimeout');
    const random = jest.spyOn(Math, 'random').mockReturnValue(0.5);
    try {
      await expect(runCapture(migration, { capture: { lockTimeoutMs: 20, attempts: 3 } })).rejects.toThrow(
        'in 3 tries',
      );
      expect(pause.mock.calls.map(([milliseconds]) => milliseconds)).toEqual([100, 200]);
    } finally {
      pause.mockRestore();
      random.mockRestore();
    }
  });

  it.each(['"public"."item"', '"My App.1"."Order of things"'])(
    'names a long transaction at its start, and captures the other tables before the one that it holds: %s',
    async (held) => {
      open = await holding(`LOCK TABLE ${held} IN ROW EXCLUSIVE MODE`);
      const old = `SELECT FROM pg_stat_activity WHERE application_name = 'nightly report' AND xact_start < clock_timestamp() - interval '1 s'`;
      while ((await source.query(old)).rowCount === 0) await sleep(20);
      const context = await migration.context('capture', { capture: { lockTimeoutMs: LOCK_TIMEOUT_MS, attempts: 1 } });
      const warn = jest.spyOn(context.log, 'warn').mockClear();
      await expect(capture.run(context)).rejects.toThrow(`${held} was never free`);
      expect(warn.mock.calls[0]).toEqual([
        { relation: held, blockers: expect.stringMatching(/^pid \d+ \(postgres, nightly report, \d+ s\): LOCK TABLE/) },
        'relation is held for long; it is captured last',
      ]);
      await context.close();
      expect((await problems()).filter((line) => line.includes('"bucardo_delta"'))).toEqual([
        `${held} has no trigger "bucardo_delta"`,
      ]);
    },
  );

  it('delays no other writer of the table for longer than the lock time-out', async () => {
    open = await holding('UPDATE item SET n = 100 WHERE id = 1');
    const wait = await longestWrite(runCapture(migration, BRIEF));
    expect(wait).toBeGreaterThan(LOCK_TIMEOUT_MS / 2);
    expect(wait).toBeLessThan(LOCK_TIMEOUT_MS + TOLERANCE_MS);
  });

  it.each([
    [
      'a disabled trigger is made anew under a long reader',
      'ALTER TABLE item DISABLE TRIGGER bucardo_delta',
      'SELECT * FROM item',
    ],
    [
      'a lost trigger is made anew under a long writer',
      'DROP TRIGGER bucardo_note_trunc_ibex ON item',
      'UPDATE item SET n = 1 WHERE id = 1',
    ],
  ])('nor when %s', async (_, broken, statement) => {
    await runCapture(migration);
    await source.query(broken);
    open = await holding(statement);
    expect(await longestWrite(runCapture(migration, BRIEF))).toBeLessThan(LOCK_TIMEOUT_MS + TOLERANCE_MS);
    await expect(runCapture(migration, BRIEF)).rejects.toThrow(/"public"."item" was never free .* nightly report/);
    await open.query('ROLLBACK');
    await runCapture(migration, BRIEF);
    expect(await problems()).toEqual([]);
  });

  /** Until the installation waits for its lock, or until it has given up waiting for this time. */
  async function untilWaiting(expected: boolean): Promise<void> {
    const query = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'`;
    while (((await source.query(query)).rowCount !== 0) !== expected) await sleep(10);
  }

  it.each(['ANALYZE item', 'CREATE INDEX ON item (n)', 'TRUNCATE item'])(
    'lets that writer go before with whatever else it asks of the table: %s',
    async (statement) => {
      open = await holding('UPDATE item SET n = 100 WHERE id = 1');
      const patient = runCapture(migration, { capture: { lockTimeoutMs: 20_000, attempts: 1 } });
      await untilWaiting(true);
      await open.query(statement);
      await open.query('ROLLBACK');
      expect((await patient).message).toBe('2 relations captured, 2 of them now, 0 lock retries');
      expect(await problems()).toEqual([]);
    },
  );

  it('waits for that writer, so that no row changes unseen', async () => {
    open = await holding('UPDATE item SET n = 100 WHERE id = 1');
    const patient = runCapture(migration, { capture: { lockTimeoutMs: LOCK_TIMEOUT_MS, attempts: 100 } });
    await untilWaiting(true);
    await untilWaiting(false);
    await open.query('UPDATE item SET n = 101 WHERE id = 3; COMMIT');
    expect((await patient).message).toMatch(/^2 relations captured, 2 of them now, [1-9]\d* lock retries$/);
    const { rows } = await source.query(
      `SELECT (SELECT n FROM item WHERE id = 3) AS n, (SELECT count(*)::int FROM bucardo.delta_public_item) AS recorded`,
    );
    expect(rows).toEqual([{ n: 101, recorded: 0 }]);
  });
});

describe('a table that cannot be captured does not keep the others from it', () => {
  /** Captures, and does something ahead of the statement that makes the queue of a table. */
  async function capturing(queue: string, before: () => Promise<unknown>): Promise<Error> {
    const context = await migration.context('capture', BRIEF);
    const connect = context.connect.bind(context);
    context.connect = async (end, purpose) =>
      intercept(await connect(end, purpose), (text) =>
        text.startsWith(`CREATE TABLE IF NOT EXISTS "bucardo"."${queue}"`) ? before() : undefined,
      );
    const outcome = await capture.run(context).catch((error: Error) => error);
    await context.close();
    return outcome as Error;
  }

  const notCaptured = async (): Promise<string[]> =>
    (await problems()).filter((line) => line.includes('"bucardo_delta"'));

  it('that is dropped before its turn, and it is said what to do', async () => {
    await source.query(
      'CREATE TABLE gone AS SELECT i AS id FROM generate_series(1, 5000) i; ALTER TABLE gone ADD PRIMARY KEY (id)',
    );
    expect((await capturing('delta_public_gone', () => source.query('DROP TABLE gone'))).message).toBe(
      'capture of "public"."gone" cannot be installed: it was dropped or renamed meanwhile; start capture again',
    );
    expect(await notCaptured()).toEqual([]);
    expect((await runCapture(migration)).message).toBe('2 relations captured, 0 of them now, 0 lock retries');
  });

  it('that are busy, of which each is named', async () => {
    await source.query('CREATE TABLE later (id int PRIMARY KEY); CREATE TABLE last (id int PRIMARY KEY)');
    let open: Client | undefined;
    const hold = async (): Promise<void> =>
      void (open ??= await holding('UPDATE item SET n = 1; INSERT INTO later VALUES (1)'));
    try {
      const { message } = await capturing('delta_public_item', hold);
      expect(message).toMatch(
        /^"public"."item" was never free for 400 ms in 2 tries; .*; "public"."later" was never free for 400 ms in 1 tries; /,
      );
      expect(await notCaptured()).toEqual(
        ['item', 'later'].map((name) => `"public"."${name}" has no trigger "bucardo_delta"`),
      );
    } finally {
      await open?.query('ROLLBACK');
      await open?.end();
      await source.query('DROP TABLE later, last');
    }
  });
});

describe('a table that autovacuum is at, and stays at for minutes', () => {
  beforeAll(async () => {
    await source.query('ALTER SYSTEM SET autovacuum_naptime = 1');
    await source.query(`
      SELECT pg_reload_conf();
      CREATE TABLE swept (id int PRIMARY KEY, filler text) WITH (autovacuum_vacuum_threshold = 0,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
      INSERT INTO swept SELECT i, repeat('f', 400) FROM generate_series(1, 10000) i`);
  });
  afterAll(async () => {
    await source.query('DROP TABLE swept');
    await source.query('ALTER SYSTEM RESET autovacuum_naptime');
    await source.query('SELECT pg_reload_conf()');
  });

  /** A vacuum that was sent away comes back. */
  async function autovacuumed(): Promise<void> {
    await source.query('DELETE FROM swept WHERE id IN (SELECT id FROM swept LIMIT 1000)');
    const query = `SELECT FROM pg_stat_progress_vacuum WHERE relid = 'swept'::regclass`;
    while ((await source.query(query)).rowCount === 0) await sleep(20);
  }

  it('is captured, and set free, at the first try: it is sent away without that a writer waits', async () => {
    await autovacuumed();
    const once = { capture: { lockTimeoutMs: LOCK_TIMEOUT_MS, attempts: 1 } };
    expect((await runCapture(migration, once)).message).toMatch(
      /^3 relations captured, 3 of them now, 0 lock retries$/,
    );

    await autovacuumed();
    const context = await migration.context('capture', { ...once, sync: { ...migration.config.sync, syncs: 2 } });
    const relations = await readRelations(source, context.config);
    await addTruncateTriggers(context, source, relations);
    expect(await possibleSyncs(context, source, relations)).toEqual(['ibex', 'ibex2']);
    expect(await problems()).toEqual([]);

    await autovacuumed();
    expect(await dropCapture(context, source)).toBe(9);
    await context.close();
  });
});

describe('a table that autovacuum is at against wraparound, and does not leave', () => {
  beforeAll(async () => {
    await source.query('ALTER SYSTEM SET autovacuum_naptime = 1');
    await source.query(`
      SELECT pg_reload_conf();
      CREATE TABLE aged (id int PRIMARY KEY, filler text) WITH (autovacuum_freeze_max_age = 100000,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
      INSERT INTO aged SELECT i, repeat('f', 400) FROM generate_series(1, 10000) i;
      CREATE TEMP TABLE burnt (id int)`);
    // Each block that writes is a subtransaction, with an id of its own: older by more than the least setting there is.
    await source.query(`
      DO $$ BEGIN
        FOR i IN 1..100100 LOOP
          BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
        END LOOP;
      END $$`);
  });
  afterAll(async () => {
    await source.query('ALTER SYSTEM RESET autovacuum_naptime');
    await source.query('SELECT pg_reload_conf()');
    await source.query('SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum; DROP TABLE aged');
  });

  it('is named at the start, and taken last; capture says who is in the way, and completes once that has ended', async () => {
    const vacuum = `SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'aged'::regclass`;
    while ((await source.query(vacuum)).rowCount === 0) await sleep(20);
    const context = await migration.context('capture', { capture: { lockTimeoutMs: LOCK_TIMEOUT_MS, attempts: 1 } });
    const warn = jest.spyOn(context.log, 'warn').mockClear();
    const who =
      'pid \\d+ \\(autovacuum worker, , \\d+ s\\): autovacuum: VACUUM (?:ANALYZE )?public.aged \\(to prevent wraparound\\)';
    await expect(capture.run(context)).rejects.toThrow(
      new RegExp(
        `^"public"."aged" was never free for 400 ms in 1 tries; in the way: ${who}; end that, or wait, and start capture again$`,
      ),
    );
    expect(warn.mock.calls[0]).toEqual([
      { relation: '"public"."aged"', blockers: expect.stringMatching(new RegExp(`^${who}$`)) },
      'relation is held for long; it is captured last',
    ]);
    await context.close();
    const missing = (await problems()).filter((line) => line.includes('"bucardo_delta"'));
    expect(missing).toEqual(['"public"."aged" has no trigger "bucardo_delta"']);

    await migration.admin('source').then(async (client) => {
      await client.query('ALTER SYSTEM RESET autovacuum_naptime');
      await client.query('SELECT pg_reload_conf(), pg_cancel_backend(pid) FROM pg_stat_progress_vacuum');
      await client.query('VACUUM FREEZE aged');
      await client.end();
    });
    expect((await runCapture(migration)).message).toMatch(/^3 relations captured, 1 of them now/);
    expect(await problems()).toEqual([]);
  });
});

it('leaves a table alone whose key its login may not compare, since each UPDATE of it would be refused', async () => {
  await source.query(`
    CREATE EXTENSION citext; CREATE TABLE coded (code citext PRIMARY KEY); INSERT INTO coded VALUES ('a');
    REVOKE EXECUTE ON FUNCTION citext_eq(citext, citext) FROM PUBLIC;
    CREATE ROLE narrow LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}';
    GRANT ALL ON item, coded, "My App.1"."Order of things" TO narrow; GRANT USAGE ON SCHEMA "My App.1" TO narrow;
    GRANT CREATE ON DATABASE ${migration.config.source.database} TO narrow`);
  const secret = JSON.stringify({ username: 'narrow', password: PASSWORD });
  writeFileSync(join(migration.secrets, 'narrow'), secret, { mode: 0o600 });
  const narrow = { source: { ...migration.config.source, secret: 'narrow' } };
  try {
    await expect(runCapture(migration, narrow)).rejects.toThrow(
      /^capture of "public"\."coded" cannot be installed: .* GRANT EXECUTE ON FUNCTION public\.citext_eq\(public\.citext,public\.citext\) TO narrow/,
    );
    await source.query(`UPDATE coded SET code = 'b'`);
    await source.query('GRANT EXECUTE ON FUNCTION citext_eq(citext, citext) TO narrow');
    await runCapture(migration, narrow);
    await source.query(`UPDATE coded SET code = 'c'`);
    expect(await takeKeys(source, 'delta_public_coded')).toEqual(['b', 'c']);
  } finally {
    await forgetCapture(migration, source);
    await source.query('DROP TABLE coded; DROP EXTENSION citext; DROP OWNED BY narrow; DROP ROLE narrow');
  }
});

describe('capture, run again', () => {
  it('changes nothing that stands', async () => {
    expect((await runCapture(migration)).message).toBe('2 relations captured, 2 of them now, 0 lock retries');
    const objects = `SELECT array_agg(oid ORDER BY oid)::text AS triggers FROM pg_trigger WHERE NOT tgisinternal`;
    const before = await source.query(objects);
    await source.query('UPDATE item SET n = 5 WHERE id = 5');
    expect((await runCapture(migration)).message).toBe('2 relations captured, 0 of them now, 0 lock retries');
    expect((await source.query(objects)).rows).toEqual(before.rows);
    expect((await source.query('SELECT id FROM bucardo.delta_public_item')).rows).toEqual([{ id: 5 }]);
  });

  it('takes a table that was made later', async () => {
    await runCapture(migration);
    await source.query('CREATE TABLE late (id int PRIMARY KEY)');
    try {
      expect((await runCapture(migration)).message).toBe('3 relations captured, 1 of them now, 0 lock retries');
    } finally {
      await source.query('DROP TABLE late');
    }
  });

  /** Sessions on the source that fail from the nth statement on, as if the program were killed there. */
  async function dying(): Promise<{ run: (nth: number) => Promise<'died' | 'ended'>; context: Context }> {
    const context = await migration.context('capture');
    const connect = context.connect.bind(context);
    let left = 0;
    context.connect = async (end, purpose) => {
      const client = await connect(end, purpose);
      const query = client.query.bind(client) as (...args: unknown[]) => unknown;
      client.query = ((...args: unknown[]) => {
        left -= 1;
        if (left < 0) throw new Error('killed');
        return query(...args);
      }) as typeof client.query;
      return client;
    };
    const run = async (nth: number): Promise<'died' | 'ended'> => {
      left = nth - 1;
      const outcome = await capture.run(context).catch((error: Error) => error);
      await source.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ibex capture'`,
      );
      if (!(outcome instanceof Error)) return 'ended';
      expect(outcome.message).toContain('killed');
      return 'died';
    };
    return { run, context };
  }

  it('completes what was killed at any statement', async () => {
    const { run, context } = await dying();
    let deaths = 0;
    while ((await run(deaths + 1)) === 'died') {
      deaths += 1;
      expect(await run(Infinity)).toBe('ended');
      await source.query('UPDATE item SET id = -id');
      const { rows } = await source.query('SELECT count(*)::int AS n FROM bucardo.delta_public_item');
      expect(rows).toEqual([{ n: 18 }]);
      await source.query('DROP SCHEMA bucardo CASCADE');
      await context.state.setFact('capture.triggers', {});
    }
    expect(deaths).toBeGreaterThan(20);
    await context.close();
  });
});
