import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { withoutStatistics } from '../../assets/agent/catalog/statistics';
import type { AgentConfig } from '../../assets/agent/config';
import { Jobs } from '../../assets/agent/job';
import { isAlive } from '../../assets/agent/process';
import { State } from '../../assets/agent/state';
import { CONSTRAINTS_FACT } from '../../assets/agent/sync';
import { supervisorRuns } from '../../assets/agent/sync/supervisor-job';
import type { Rehearsal } from '../../lib/rehearsal/rehearsal';
import { openRehearsal } from '../helpers/rehearsal';
import { until } from '../helpers/until';

/** What each run of `add` has done when it is killed: what is asked there turns true. */
const KILLED_ONCE = [
  ['begun', 'target', 'true'],
  ['made', 'target', `to_regclass('later.voucher') IS NOT NULL`],
  [
    'captured',
    'source',
    `EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'later.voucher'::regclass AND tgname ~ 'ibex')`,
  ],
  ['copied', 'target', `EXISTS (SELECT FROM ibex.relation WHERE relation_name = 'voucher' AND copied_at IS NOT NULL)`],
  ['with its constraints', 'target', `EXISTS (SELECT FROM pg_constraint WHERE conname = 'voucher_branch_fkey')`],
] as const;

/** A table of some megabytes is copied for long enough to see what goes on beside. */
const SLOW = { maxBytesPerSecond: 400_000, jobs: 2 };

describe('a table that appears while the sync runs', () => {
  let rehearsal: Rehearsal;
  let source: Client;
  let target: Client;
  let state: State;
  let writing: Promise<number>;
  const writer = { isWanted: true };

  beforeAll(async () => {
    rehearsal = await openRehearsal({ rate: 30, settings: { copy: SLOW } as Partial<AgentConfig> });
    await rehearsal.startWriters();
    for (const phase of ['assess', 'schema', 'capture', 'dump', 'restore', 'sync', 'verify']) {
      await succeed(phase);
    }
    const { lab } = rehearsal;
    source = await lab.connect('source');
    target = await lab.target.admin(lab.config.target.database);
    state = await State.open(lab.config.host);
  }, 240_000);

  afterAll(async () => {
    writer.isWanted = false;
    await writing?.catch(() => undefined);
    await Promise.allSettled([source?.end(), target?.end(), state?.close()]);
    await rehearsal?.close();
  }, 60_000);

  async function succeed(phase: string): Promise<void> {
    const { status, failureMessage } = await rehearsal.run(phase);
    expect([phase, status, failureMessage]).toEqual([phase, 'Success', undefined]);
  }

  /** Inserts, updates and deletes without a pause, until writes are stopped or nobody wants it any more. */
  async function write(): Promise<number> {
    const client = await rehearsal.lab.connect('source');
    let writes = 0;
    try {
      for (; writer.isWanted; writes += 1) {
        await client.query(
          `INSERT INTO later.voucher (branch, code) VALUES (1, 'code ' || clock_timestamp() || random())`,
        );
        await client.query(`UPDATE later.voucher SET spent = now() WHERE id = 1 + ${writes} / 2`);
        if (writes % 5 === 0) await client.query(`DELETE FROM later.voucher WHERE id = ${writes}`);
      }
    } finally {
      await client.end();
    }
    return writes;
  }

  const asked = (end: 'source' | 'target', condition: string) => async (): Promise<boolean> => {
    const { rows } = await (end === 'source' ? source : target).query(`SELECT ${condition} AS "is"`);
    return (rows as { is: boolean }[])[0]?.is === true;
  };

  /** Writers and appliers lock the same tables in an order of their own. */
  async function unlessDeadlocked(client: Client, statements: string): Promise<void> {
    await until(() =>
      client.query(statements).then(
        () => true,
        (error: { code?: string }) => {
          if (error.code !== '40P01') throw error as Error;
          return false;
        },
      ),
    );
  }

  /** Starts `add`, and kills it as soon as that is true. Returns how the step ended. */
  async function killAdd(isTrue: () => Promise<boolean>): Promise<string> {
    const jobs = new Jobs(rehearsal.lab.config);
    const before = Date.now();
    const run = rehearsal.run('add');
    let record = jobs.read('add');
    while (record === undefined || record.startedAt < before) {
      await sleep(10);
      record = jobs.read('add');
    }
    while (isAlive(record.process) && !(await isTrue())) await sleep(5);
    if (isAlive(record.process)) process.kill(record.process.pid, 'SIGKILL');
    return (await run).status;
  }

  test('is refused by the gates, and named with the way on', async () => {
    await source.query(`
      CREATE SCHEMA later; CREATE TABLE later.passing (id int PRIMARY KEY, code text UNIQUE); CREATE TYPE later.kind AS ENUM ('gift', 'refund');
      CREATE TABLE later.voucher (id serial PRIMARY KEY, branch int NOT NULL REFERENCES public.pgbench_branches,
        code text UNIQUE, kind later.kind DEFAULT 'gift', spent timestamptz);
      CREATE INDEX voucher_spent ON later.voucher (spent);
      INSERT INTO later.voucher (branch, code) SELECT 1, 'old ' || i FROM generate_series(1, 5000) i`);
    writing = write();
    const { status, failureMessage } = await rehearsal.run('ready');
    expect(status).toBe('Failed');
    expect(failureMessage).toContain('table "later"."voucher" is new and not captured; start add, or drop it');
  }, 60_000);

  test.each(KILLED_ONCE)(
    'is refused still when add was killed once it was %s',
    async (_, end, condition) => {
      expect(await killAdd(asked(end, condition))).toBe('Failed');
      expect((await rehearsal.run('ready')).status).toBe('Failed');
    },
    60_000,
  );

  test('has its sync going again although add was killed when all else was done', async () => {
    expect(await killAdd(async () => (await state.fact(CONSTRAINTS_FACT)) === true)).toBe('Failed');
    await succeed('add');
    expect(supervisorRuns(rehearsal.lab.config)).toBe(true);
  }, 120_000);

  test('is taken in by add, which may be killed anywhere, while the sync goes on', async () => {
    await succeed('add');
    await succeed('add');
    const plan = Object.values((await state.fact<Record<string, string[]>>('sync.plan')) ?? {}).flat();
    expect(plan).toContain('"later"."voucher"');
    const { rows } = await target.query(
      `SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'later.voucher'::regclass AND contype <> 'n' ORDER BY 1`,
    );
    expect(rows).toEqual(
      ['branch_fkey', 'code_key', 'pkey'].map((name) => ({ conname: `voucher_${name}`, convalidated: true })),
    );
    const bare = (await withoutStatistics(target, rehearsal.lab.config)).map((table) => table.sql);
    expect(bare).not.toContain('"later"."voucher"');
    expect(bare).not.toContain('"billing"."sales_by_day"');
  }, 240_000);

  test('and so is a column that was added to both ends, the target first, with its index and foreign key', async () => {
    for (const client of [target, source]) {
      await unlessDeadlocked(
        client,
        `
        ALTER TABLE public.pgbench_tellers ADD note text, ADD home int REFERENCES public.pgbench_branches;
        CREATE INDEX tellers_home ON public.pgbench_tellers (home)`,
      );
    }
    await source.query(`DROP INDEX later.voucher_spent; CREATE INDEX voucher_spent ON later.voucher (spent)`);
    await source.query(`UPDATE public.pgbench_tellers SET note = 'noted ' || tid WHERE tid <= 5`);
    expect((await rehearsal.run('ready')).failureMessage).toContain(
      'table "public"."pgbench_tellers" has other columns or types than when it was captured; undo it, or make the target alike and start add',
    );
    await succeed('add');
  }, 120_000);

  test('and a table that was dropped on both ends is forgotten', async () => {
    await source.query('DROP TABLE later.passing');
    expect((await rehearsal.run('ready')).failureMessage).toContain(
      'table "later"."passing" is gone from the source; drop it on the target too and start add',
    );
    expect((await rehearsal.run('add')).failureMessage).toContain(
      '"later"."passing" was dropped or renamed on the source; drop it on the target too',
    );
    await target.query('DROP TABLE later.passing');
    await succeed('add');
    const plan = Object.values((await state.fact<Record<string, string[]>>('sync.plan')) ?? {}).flat();
    expect(plan).toContain('"later"."voucher"');
    expect(plan).not.toContain('"later"."passing"');
  }, 120_000);

  test('and one whose copy takes long keeps nobody from taking over what is synced', async () => {
    await source.query(`
      CREATE SCHEMA large; CREATE TABLE large.letter (id int PRIMARY KEY, text text);
      INSERT INTO large.letter SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 4500) i`);
    const ending = { isWanted: false };
    const killed = killAdd(async () => ending.isWanted);
    const copying = `FROM pg_stat_activity WHERE state = 'active' AND query ~ '^COPY .*letter'`;
    await until(asked('target', `EXISTS (SELECT ${copying})`));
    await source.query(
      `INSERT INTO bucardo.ibex_truncated (schema_name, relation_name) VALUES ('public', 'pgbench_branches')`,
    );
    await until(asked('source', 'NOT EXISTS (SELECT FROM bucardo.ibex_truncated)'));
    expect(await asked('target', `EXISTS (SELECT ${copying})`)()).toBe(true);
    expect((await rehearsal.run('sync')).failureMessage).toContain('add or cleanup runs already');

    // A key would keep the rest of its rows out.
    ending.isWanted = true;
    expect(await killed).toBe('Failed');
    await succeed('sync');
    const keys = `SELECT conname FROM pg_constraint WHERE conrelid = 'large.letter'::regclass AND contype = 'p'`;
    expect((await target.query(keys)).rowCount).toBe(0);
    await succeed('add');
    expect((await target.query(keys)).rowCount).toBe(1);
  }, 240_000);

  test('all of it is equal, and the cutover moves it', async () => {
    await succeed('verify');
    await succeed('ready');
    await succeed('cutover');
    // The fence ends this writer, and that is what it is for.
    await expect(writing).rejects.toThrow();
    const of = (client: Client) => async (query: string) => (await client.query(query)).rows as unknown[];
    for (const query of [
      `SELECT count(*) AS rows, md5(string_agg(v::text, ' ' ORDER BY id)) AS hash FROM later.voucher v`,
      `SELECT tid, note FROM public.pgbench_tellers WHERE note IS NOT NULL ORDER BY tid`,
    ]) {
      expect(await of(target)(query)).toEqual(await of(source)(query));
    }
    const { rows } = await target.query(
      `SELECT nextval('later.voucher_id_seq') > (SELECT max(id) FROM later.voucher) AS ahead,
        (SELECT count(*)::int FROM public.pgbench_tellers WHERE note IS NOT NULL) AS noted`,
    );
    expect(rows).toEqual([{ ahead: true, noted: 5 }]);
    await sleep(1_000);
    const { verdict } = await rehearsal.stopWriters();
    expect(verdict.lostWrites).toBe(0);
  }, 240_000);
});
