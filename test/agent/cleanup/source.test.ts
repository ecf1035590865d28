import { installShared, queueStatements, triggerStatements } from '../../../assets/agent/capture/objects';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { dropCapture, ourTriggers } from '../../../assets/agent/cleanup/source';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';
import { until } from '../../helpers/until';
import { intercept } from '../catch-up/moving';

/** What the removal asks of its context. */
const context = {
  config: { capture: { lockTimeoutMs: 500, attempts: 2 } },
  progress: { report: () => undefined },
  log: { warn: () => undefined },
} as unknown as Context;

const started: TestPostgres[] = [];
afterAll(() => Promise.all(started.map((server) => server.stop())));

async function start(version: 11 | 15 | 17): Promise<TestPostgres> {
  const server = await startPostgres({ version });
  started.push(server);
  return server;
}

test.each([11, 15, 17] as const)('a login that owns no table takes its triggers off again: %i', async (version) => {
  const server = await start(version);
  const admin = await server.connect();
  await admin.query(`
    CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE postgres TO mover;
    CREATE TABLE item (id int PRIMARY KEY); GRANT TRIGGER, SELECT ON item TO mover;
    CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER theirs AFTER INSERT ON item FOR EACH ROW EXECUTE PROCEDURE theirs();
    SET ROLE mover; CREATE SCHEMA bucardo;
    CREATE FUNCTION bucardo.delta_item() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER bucardo_delta AFTER INSERT ON public.item FOR EACH ROW EXECUTE PROCEDURE bucardo.delta_item()`);
  await expect(admin.query('DROP TRIGGER bucardo_delta ON item')).rejects.toThrow('must be owner');

  expect(await dropCapture(context, admin)).toBe(1);

  expect(await ourTriggers(admin, 'bucardo')).toEqual([]);
  const { rows } = await admin.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = 'item'::regclass`);
  expect(rows).toEqual([{ tgname: 'theirs' }]);
  expect((await admin.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(0);
});

/** Two tables with a trigger of ours each. */
const CAPTURED = `
  DROP TABLE IF EXISTS item, other; DROP SCHEMA IF EXISTS bucardo CASCADE; CREATE SCHEMA bucardo;
  CREATE TABLE item (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO item VALUES (1, 0);
  CREATE FUNCTION bucardo.delta() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE TRIGGER bucardo_delta AFTER INSERT ON item FOR EACH ROW EXECUTE PROCEDURE bucardo.delta();
  CREATE TRIGGER bucardo_trunc AFTER TRUNCATE ON item FOR EACH STATEMENT EXECUTE PROCEDURE bucardo.delta();
  CREATE TRIGGER bucardo_delta AFTER INSERT ON other FOR EACH ROW EXECUTE PROCEDURE bucardo.delta()`;

test.each([
  ['a reader', 'SELECT FROM item'],
  ['a prepared transaction', `UPDATE item SET n = 1; PREPARE TRANSACTION 'nightly report'`],
])('a table that is busy with %s keeps its triggers; it is named with who is in the way', async (_, statement) => {
  const server = await startPostgres({ version: 15, settings: { max_prepared_transactions: '2' } });
  started.push(server);
  const [admin, busy] = await Promise.all([server.connect(), server.connect()]);
  await admin.query(CAPTURED);
  await busy.query(`SET application_name = 'nightly report'`);
  await busy.query('BEGIN');
  await busy.query(statement);
  const prepared = statement.includes('PREPARE');

  await expect(dropCapture(context, admin)).rejects.toThrow(
    new RegExp(
      `^2 triggers are left: "public"."item" was never free for 500 ms in 2 tries; in the way: ${prepared ? 'a transaction' : 'pid \\d+'} ` +
        `\\(${prepared ? 'prepared' : 'postgres'}, nightly report, \\d+ s\\): .*; end that, or wait, and start cleanup again$`,
    ),
  );

  expect((await ourTriggers(admin, 'bucardo')).map(({ table }) => table)).toEqual([
    '"public"."item"',
    '"public"."item"',
  ]);
  await busy.query(prepared ? `COMMIT PREPARED 'nightly report'` : 'COMMIT');
  expect(await dropCapture(context, admin)).toBe(2);
  expect((await admin.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(0);
});

test.each(['ANALYZE item', 'TRUNCATE item', 'ALTER TABLE item ADD more int'])(
  'a reader of a table whose triggers go is let before with whatever else it asks of it: %s',
  async (statement) => {
    const server = await start(15);
    const [admin, reader, watcher] = await Promise.all([server.connect(), server.connect(), server.connect()]);
    await admin.query(CAPTURED);
    await reader.query('BEGIN; SELECT FROM item');

    const removal = dropCapture(context, admin, 'bucardo', { lockTimeoutMs: 20_000, attempts: 1 });
    const waiting = `SELECT FROM pg_locks WHERE relation = 'item'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted`;
    await until(async () => (await watcher.query(waiting)).rowCount === 1, { seconds: 20 });
    await reader.query(statement);
    await reader.query('COMMIT');

    expect(await removal).toBe(3);
  },
);
test('a removal of limited time frees what nobody holds, ends at a table that is held, and names it', async () => {
  const server = await start(15);
  const [admin, dumper] = await Promise.all([server.connect(), server.connect()]);
  const tables = Array.from({ length: 30 }, (_, i) => `held_${i}`);
  const made = [...tables, 'item', 'other'].map(
    (table) => `CREATE TABLE ${table} (id int PRIMARY KEY);
      CREATE TRIGGER bucardo_delta AFTER INSERT ON ${table} FOR EACH ROW EXECUTE PROCEDURE bucardo.delta()`,
  );
  await admin.query(`CREATE SCHEMA bucardo;
    CREATE FUNCTION bucardo.delta() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; ${made.join(';')}`);
  await dumper.query(`BEGIN; LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE`);
  const limits = { lockTimeoutMs: 100, attempts: 2, withinMs: 300 };
  const isLong = `SELECT FROM pg_stat_activity WHERE state LIKE 'idle in%' AND xact_start < clock_timestamp() - interval '1 s'`;
  await until(async () => (await admin.query(isLong)).rowCount === 1);
  const warn = jest.fn();

  await expect(
    dropCapture({ ...context, log: { warn } } as unknown as Context, admin, 'bucardo', limits),
  ).rejects.toThrow(
    /^30 triggers are left: "public"."held_\d+" was never free for 100 ms in 1 tries; in the way: pid \d+/,
  );

  expect(warn.mock.calls.length).toBeLessThan(tables.length);
  await dumper.query('COMMIT');
  expect(await dropCapture(context, admin)).toBe(tables.length);
});

test('a trigger that is made once all were gone has no table of the application held for long, and goes, too', async () => {
  const server = await start(15);
  const [admin, reader] = await Promise.all([server.connect(), server.connect()]);
  await admin.query(CAPTURED);
  const other = await server.connect();
  let late: Promise<unknown> | undefined;
  intercept(admin, (text) => {
    if (!text.startsWith('DROP SCHEMA') || late !== undefined) return undefined;
    late = other
      .query('CREATE TRIGGER bucardo_delta AFTER INSERT ON item FOR EACH ROW EXECUTE PROCEDURE bucardo.delta()')
      .then(() => reader.query('BEGIN; SELECT FROM item'));
    return late;
  });

  await expect(dropCapture(context, admin)).rejects.toThrow(
    /^1 triggers are left: "public"\."item" was never free for 500 ms in 2 tries/,
  );

  await reader.query('COMMIT');
  expect(await dropCapture(context, admin)).toBe(1);
  expect((await admin.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(0);
});

test('a table that is dropped before its turn is no failure, and keeps no other one from it', async () => {
  const server = await start(15);
  const [admin, other] = await Promise.all([server.connect(), server.connect()]);
  await admin.query(CAPTURED);
  let isDropped = false;
  intercept(admin, (text) => {
    if (!text.startsWith('LOCK TABLE') || isDropped) return undefined;
    isDropped = true;
    return other.query('DROP TABLE item');
  });

  await dropCapture(context, admin, 'bucardo', { ...context.config.capture, attempts: 1 });

  expect(isDropped).toBe(true);
  expect((await other.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(0);
});

test('a schema that stays in use is left after as many tries, and named', async () => {
  const server = await start(15);
  const [admin, reader] = await Promise.all([server.connect(), server.connect()]);
  await admin.query(`${CAPTURED}; CREATE TABLE bucardo.queue (id int)`);
  await reader.query('BEGIN; SELECT FROM bucardo.queue');
  await expect(dropCapture(context, admin, 'bucardo', context.config.capture, 'finalize')).rejects.toThrow(
    /^schema "bucardo" was in use at each of 2 tries; in the way: pid \d+ .*; end that, or wait, and start finalize again$/,
  );
  await reader.query('COMMIT');
  expect(await dropCapture(context, admin)).toBe(0);
});

describe.each([
  ['captured as now', ''],
  [
    'captured by an older Ibex, with one function for all truncations',
    `CREATE FUNCTION bucardo.ibex_note_truncation() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER bucardo_note_trunc_old AFTER TRUNCATE ON first EXECUTE PROCEDURE bucardo.ibex_note_truncation();
     CREATE TRIGGER bucardo_note_trunc_old AFTER TRUNCATE ON held EXECUTE PROCEDURE bucardo.ibex_note_truncation();
     CREATE TRIGGER bucardo_note_trunc_old AFTER TRUNCATE ON third EXECUTE PROCEDURE bucardo.ibex_note_truncation()`,
  ],
])('tables that are %s, by a login that owns none of them', (_, older) => {
  test('are freed one by one, while one of them is held, and no writer waits for longer than for one lock', async () => {
    const server = await start(15);
    const [admin, holder, writer] = await Promise.all([server.connect(), server.connect(), server.connect()]);
    await admin.query(`
      CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE postgres TO mover;
      CREATE TABLE first (id int PRIMARY KEY, n int); CREATE TABLE held (LIKE first INCLUDING ALL); CREATE TABLE third (LIKE first INCLUDING ALL);
      INSERT INTO first VALUES (1, 0); INSERT INTO held VALUES (1, 0);
      GRANT TRIGGER, SELECT, UPDATE ON first, held, third TO mover; SET ROLE mover`);
    await installShared(admin);
    for (const relation of await readRelations(admin, { leftOut: [] } as unknown as AgentConfig)) {
      for (const statement of [...queueStatements(relation), ...triggerStatements(relation)])
        await admin.query(statement);
    }
    await admin.query(older);
    await holder.query('BEGIN; UPDATE held SET n = 1');
    const tables = async (trigger: string): Promise<string[]> =>
      (await ourTriggers(admin, 'bucardo')).filter((row) => row.trigger.startsWith(trigger)).map(({ table }) => table);

    const state = { longest: 0, busy: true };
    const removal = dropCapture(context, admin)
      .catch((error: Error) => error.message)
      .finally(() => (state.busy = false));
    while (state.busy) {
      const begun = performance.now();
      await writer.query('UPDATE first SET n = n + 1');
      state.longest = Math.max(state.longest, performance.now() - begun);
    }

    expect(await removal).toMatch(/triggers are left: "public"."held" was never free for 500 ms in 2 tries/);
    expect(state.longest).toBeLessThan(500 + 250);
    expect(await tables('bucardo_delta')).toEqual(['"public"."held"']);
    expect(await tables('bucardo_note_trunc_ibex')).toEqual(['"public"."held"']);
    await holder.query('COMMIT');
    expect(await dropCapture(context, admin)).toBe(older === '' ? 2 : 5);
    expect((await admin.query(`SELECT FROM pg_namespace WHERE nspname = 'bucardo'`)).rowCount).toBe(0);
  });
});
