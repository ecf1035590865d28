import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { UNFENCE_WORDS } from '../../../assets/agent/unfence';
import type { ClientsSaw } from '../../../assets/agent/cutover/clients-saw';
import { armWayBack } from '../../../assets/agent/cutover/way-back';
import type { LastProof } from '../../../assets/agent/verify/dirty/last-keys';
import { verifyRows } from '../../../assets/agent/verify/rows';
import { startBothWays, type BothWays } from './both-ways';
import { until } from '../../helpers/until';

const TABLES = `
  CREATE TABLE account (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, balance numeric NOT NULL);
  CREATE TABLE entry (account int REFERENCES account ON DELETE CASCADE, no int, note text, PRIMARY KEY (account, no));
  CREATE TABLE emptied (id bigserial PRIMARY KEY, v text);
  CREATE TABLE spread (id int, v float8, PRIMARY KEY (id)) PARTITION BY RANGE (id);
  CREATE TABLE spread_low PARTITION OF spread FOR VALUES FROM (0) TO (100);
  CREATE TABLE spread_high PARTITION OF spread FOR VALUES FROM (100) TO (200);
  CREATE TABLE quiet (id int PRIMARY KEY);
  CREATE TABLE probe (id int PRIMARY KEY);
  CREATE MATERIALIZED VIEW richest AS SELECT max(balance) AS balance FROM account`;

const READ = ['account', 'entry', 'emptied', 'spread', 'quiet'] as const;

/** Everything that an application may do to rows; the names keep two rounds apart. */
const writes = (round: string): string => `
  INSERT INTO account (name, balance) SELECT '${round}' || i, i FROM generate_series(1, 20) i;
  UPDATE account SET name = name || '+', balance = balance * 1.5 WHERE id % 3 = 0;
  DELETE FROM account WHERE id % 7 = 0;
  INSERT INTO entry SELECT id, 1, '${round} ''"\\' FROM account WHERE name LIKE '${round}%';
  UPDATE entry SET no = no + 10 WHERE account % 2 = 0;
  INSERT INTO emptied (v) VALUES ('before ${round}'); TRUNCATE emptied; INSERT INTO emptied (v) VALUES ('${round}');
  INSERT INTO spread SELECT i, 0.1 * i FROM generate_series(1, 199, 2) i ON CONFLICT (id) DO UPDATE SET v = spread.v + 1;
  UPDATE spread SET id = id + 100 WHERE id = (SELECT min(id) FROM spread WHERE id < 100 AND id + 100 NOT IN (SELECT id FROM spread));
  BEGIN; UPDATE account SET name = 'swap' WHERE id = 1; UPDATE account SET name = 'first' WHERE id = 2;
    UPDATE account SET name = 'second' WHERE id = 1; COMMIT;`;

let ways: BothWays;
beforeAll(async () => {
  ways = await startBothWays(TABLES);
  for (const client of [ways.source, ways.target]) await client.query('SET search_path = public');
  await ways.source.query(writes('one'));
});
afterAll(() => ways?.stop());

async function bothAlike(): Promise<void> {
  for (const table of READ) {
    expect([table, await ways.rows('target', table)]).toEqual([table, await ways.rows('source', table)]);
  }
}

/** What the last move of this direction has proven in its pause. */
const proofOf = async (scope: '' | 'back.'): Promise<LastProof | undefined> =>
  ((await ways.fact(`${scope}cutover.result`)) as { proof?: LastProof }).proof;

const next = async (client: Client): Promise<number> => {
  const { rows } = await client.query(`INSERT INTO account (name, balance) VALUES (NULL, 0) RETURNING id`);
  return (rows[0] as { id: number }).id;
};

/** How many triggers and schemas of capture an end has. */
async function captureOf(client: Client): Promise<unknown> {
  const { rows } = await client.query(
    `SELECT (SELECT count(*)::int FROM pg_trigger WHERE tgname LIKE 'bucardo%') AS triggers,
       (SELECT count(*)::int FROM pg_namespace WHERE nspname = 'bucardo') AS schemas`,
  );
  return rows[0];
}

describe('before the target has taken writes', () => {
  it('there is nothing to roll back, and nothing to end', async () => {
    expect(await ways.run('rollback')).toEqual({
      status: 1,
      output: 'ibex: the source takes the writes: there is nothing to roll back',
    });
    expect((await ways.run('finalize')).output).toContain('there is no way back to end');
    expect(await ways.takesWrites('source')).toBe(true);
  });

  it('a cutover is refused beside a sync that has just been started', async () => {
    const context = await ways.migration.context('sync');
    expect(await context.state.claim('sync')).toBe(true);
    expect(await ways.run('cutover')).toEqual({
      status: 1,
      output: 'ibex: sync runs already in another process; wait for it',
    });
    await context.close();
    expect(await ways.takesWrites('source')).toBe(true);
  });
});

describe('a cutover, writes on the target, a rollback, writes on the source, and a second cutover', () => {
  it('moves the writes to the target, which captures them from the first one on', async () => {
    const { status, output } = await ways.run('cutover');
    expect([output, status]).toEqual([expect.stringMatching(/^cutover: the target takes writes; .* 0 different$/), 0]);
    await bothAlike();
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, true]);
    // Nobody had verified: so few rows are compared in the pause.
    const { whole = [], unverified } = (await proofOf('')) ?? {};
    expect([
      whole
        .map(({ relation }) => relation)
        .sort()
        .slice(0, 2),
      unverified,
    ]).toEqual([['"public"."account"', '"public"."emptied"'], []]);
    await ways.target.query(writes('two'));
  });

  it('feeds the old source by itself with all of it: keys that change, values that swap, TRUNCATE, identity', async () => {
    expect(await ways.fences()).toEqual(['closed', 'open']);
    await until(async () => {
      const [here, there] = await Promise.all([ways.rows('source', 'account'), ways.rows('target', 'account')]);
      return JSON.stringify(here) === JSON.stringify(there);
    });
    await until(async () => (await ways.rows('source', 'emptied')).join().includes('two'));
    expect(await ways.takesWrites('source')).toBe(false);
  });

  it('moves the writes back with what was written up to the last moment, and sequences ahead', async () => {
    await ways.target.query(writes('three'));
    const last = await next(ways.target);
    const { status, output } = await ways.run('rollback');
    expect([output, status]).toEqual([expect.stringMatching(/^rollback: the source takes writes; .* 0 different$/), 0]);
    await bothAlike();
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([true, false]);
    expect(await ways.fences()).toEqual(['open', 'closed']);
    // What was not verified again by then is compared as a whole, the rest by the keys that changed.
    const { keys = 0, whole = [], before, unverified } = (await proofOf('back.')) ?? {};
    expect(unverified).toEqual([]);
    expect(keys + whole.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(0);
    expect(whole.length + (before?.relations ?? 0)).toBeGreaterThanOrEqual(READ.length);
    expect(await next(ways.source)).toBeGreaterThan(last);
    expect((await ways.run('rollback')).output).toMatch(/^rollback: done already/);
    await ways.source.query(writes('four'));
  });

  it('has proven each move: who is refused, that the catalog is the same, and where each sequence goes on', async () => {
    const report = JSON.parse((await ways.run('report')).output) as Record<string, unknown> & {
      evidence: { phase: string; gate: string; passed: boolean; result: unknown }[];
    };
    for (const [phase, login] of [
      ['cutover', 'mover'],
      ['rollback', 'master'],
    ] as const) {
      const of = (gate: string): unknown =>
        report.evidence.findLast((each) => each.phase === phase && each.gate === gate && each.passed)?.result;
      expect(of('writes are refused')).toMatchObject({ roles: expect.arrayContaining([login]), untried: 0 });
      const catalog = of('the catalog is the same behind the fence') as { before: string; now: string };
      expect(catalog.now).toBe(catalog.before);
      const sequences = of('sequences go on') as { name: string; source: string; target: string }[];
      expect(sequences.map(({ name }) => name)).toEqual(['"public"."account_id_seq"', '"public"."emptied_id_seq"']);
      for (const { source, target } of sequences) expect(Number(target)).toBe(Number(source) + 100);
    }
    for (const [part, fact] of [
      ['cutover', 'cutover.result'],
      ['rollback', 'back.cutover.result'],
    ] as const) {
      expect(report[part]).toEqual(await ways.fact(fact));
    }
    expect(report['rollback']).not.toEqual(report['cutover']);
    for (const pause of ['timeline', 'rollbackTimeline']) {
      const steps = (report[pause] as { steps: { step: string }[] }).steps.map(({ step }) => step);
      expect(steps).toEqual(expect.arrayContaining(['fence', 'prove', 'open']));
    }
  });

  it('moves them to the target a second time, and tells which clients were refused', async () => {
    const refused = await ways.migration.admin('source');
    await refused.query(`SET application_name = 'the shop'`);
    const running = ways.run('cutover');
    const end = new AbortController();
    void running.finally(() => end.abort());
    let errors = 0;
    while (!end.signal.aborted) await refused.query('DELETE FROM probe WHERE false').catch(() => (errors += 1));
    await refused.end();
    const { status, output } = await running;
    expect(errors).toBeGreaterThan(0);
    const { pauseMs, clientsSaw } = (await ways.fact('cutover.result')) as { pauseMs: number; clientsSaw: ClientsSaw };
    const shop = clientsSaw.kinds.find(({ application }) => application === 'the shop');
    expect(shop).toMatchObject({ sessions: 1, errors: 1, how: expect.stringContaining('asked the source') });
    expect(shop?.longestWaitMs).toBeGreaterThan(0);
    expect(shop?.longestWaitMs).toBeLessThanOrEqual(pauseMs);
    expect(clientsSaw.kinds.at(-1)?.how).toMatch(/^transactions rolled back on the source/);
    expect([output, status]).toEqual([expect.stringMatching(/^cutover: the target takes writes; .* 0 different$/), 0]);
    await bothAlike();
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, true]);
    expect((await ways.run('cutover')).output).toMatch(/^cutover: done already/);
    await ways.target.query(writes('five'));
  });
});

it('an end that waits for its turn is not opened by hand beside the other one', async () => {
  const { status, output } = await ways.run('unfence', '--accept', UNFENCE_WORDS);
  expect([status, output]).toEqual([1, expect.stringContaining('the source waits for a rollback')]);
  expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, true]);
});

describe('what closes the way back', () => {
  const problem = async (): Promise<string> =>
    ((await ways.fact('back.sync.problem')) as { problems: string[] } | null)?.problems[0] ?? '';

  it('a row that the old side cannot hold: it is said with time and reason, a rollback refuses, and deleting it opens the way again', async () => {
    await ways.target.query(`INSERT INTO account (name, balance) VALUES ('endless', 'Infinity')`);
    await ways.target.query(`INSERT INTO quiet VALUES (5)`);
    await until(async () => (await problem()) !== '');
    expect(await problem()).toMatch(
      /^the way back is closed since \d{4}-\S+Z because "public"."account" cannot be applied: .*[Ii]nfinity/,
    );
    // One table does not hold up the others.
    await until(async () => (await ways.rows('source', 'quiet')).length === 1);
    const { status, output } = await ways.run('rollback');
    expect([status, output]).toEqual([
      1,
      expect.stringContaining('rollback cannot begin: sync healthy: the way back is closed'),
    ]);
    expect(await ways.takesWrites('target')).toBe(true);
    await ways.target.query(`DELETE FROM account WHERE name = 'endless'`);
    await until(async () => (await problem()) === '');
  });

  it('a table that the old side has not', async () => {
    await ways.target.query(`CREATE TABLE later (id int PRIMARY KEY)`);
    await until(async () => (await problem()) !== '');
    expect(await problem()).toContain('"public"."later" is missing on the source');
    await ways.target.query(`DROP TABLE later`);
    await until(async () => (await problem()) === '');
  });
});

describe('a rollback that is killed', () => {
  /** Keeps the rollback at one place, where its own statement waits, until it is killed there. */
  async function killedAt(end: 'source' | 'target', block: string, arrived: () => Promise<boolean>): Promise<void> {
    const blocker = await ways.migration.admin(end);
    try {
      await blocker.query(`BEGIN; SET search_path = public; ${block}`);
      await ways.kill('rollback', arrived);
      // A server does not notice that the client of a waiting statement is gone.
      await blocker.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ibex %' AND wait_event_type = 'Lock'`,
      );
    } finally {
      await blocker.query('ROLLBACK');
      await blocker.end();
    }
  }

  const fencesAre = async (source: string, target: string): Promise<boolean> =>
    (await ways.fences()).join() === `${source},${target}`;

  it('while it waits for the last writers, gives writes back to the target when the deadline passes', async () => {
    const waits = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'`;
    await killedAt('target', 'LOCK TABLE quiet IN ROW EXCLUSIVE MODE', async () => {
      return (await ways.target.query(waits)).rowCount === 1;
    });
    await until(() => ways.takesWrites('target'));
    expect(await ways.takesWrites('source')).toBe(false);
  });

  it('before its point of no return, gives writes back to the target when the deadline passes, without any help', async () => {
    // The fence of the run before has opened, and says "until" all the same.
    const refused = async () => !(await ways.takesWrites('target'));
    await killedAt('source', 'ALTER SEQUENCE emptied_id_seq INCREMENT 1', refused);
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, false]);
    await until(() => ways.takesWrites('target'));
    expect(await ways.takesWrites('source')).toBe(false);
    await ways.target.query(writes('six'));
  });

  it('after it, goes forward when it is started again, and lets no cutover in between', async () => {
    await killedAt('source', 'ALTER FUNCTION ibex.fence() COST 200', () => fencesAre('closed', 'final'));
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, false]);
    expect((await ways.run('cutover')).output).toContain('a rollback has passed its point of no return');
    expect((await ways.run('unfence', '--accept', UNFENCE_WORDS)).output).toContain('writes are being moved');
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, false]);
    // The fence does not stop DDL, and a new table has none.
    await ways.target.query('CREATE TABLE later (id bigserial PRIMARY KEY); INSERT INTO later DEFAULT VALUES');
    const { status, output } = await ways.run('rollback');
    expect([output, status]).toEqual([
      expect.stringMatching(/; NOT moved, since made on the target .*: "public"."later"/),
      0,
    ]);
    await ways.target.query('DROP TABLE later');
    await bothAlike();
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([true, false]);
  });

  it('once the source is open, is finished by the next run', async () => {
    await ways.source.query(writes('seven'));
    expect(await ways.run('cutover')).toMatchObject({ status: 0 });
    await ways.target.query(writes('eight'));
    const compares = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'ibex compare at freeze'`;
    await killedAt('source', 'LOCK TABLE quiet IN ACCESS EXCLUSIVE MODE', async () => {
      return (await ways.source.query(compares)).rowCount === 1;
    });
    expect(await ways.fences()).toEqual(['open', 'closed']);
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([true, false]);
    expect(await ways.run('rollback')).toMatchObject({ status: 0 });
    await bothAlike();
  });
});

describe('a table that is acknowledged to stay behind', () => {
  it('is not known to be equal after a rollback, so that a second cutover finds what was written to it', async () => {
    const file = join(ways.migration.secrets, '..', 'without.json');
    const cutover = { ...ways.config.cutover, wayBackWithout: ['"public"."quiet"'] };
    writeFileSync(file, JSON.stringify({ ...ways.config, cutover }));
    const without = { IBEX_CONFIG: file };
    expect(await ways.die('cutover', without)).toMatchObject({ status: 0 });
    await ways.target.query('INSERT INTO quiet VALUES (77)');
    expect(await ways.die('rollback', without)).toMatchObject({ status: 0 });
    expect(await ways.rows('source', 'quiet')).not.toContain('(77)');
    // By the gate where the sync has compared it since, or else in the pause.
    expect(await ways.die('cutover', without)).toMatchObject({
      status: 1,
      output: expect.stringMatching(/rows of "public"."quiet" were found different|"public"."quiet" \(77\)/),
    });
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([true, false]);
    await ways.target.query(
      `BEGIN; SET LOCAL session_replication_role = 'replica'; DELETE FROM quiet WHERE id = 77; COMMIT`,
    );
    const context = await ways.migration.context('verify', ways.config);
    const relations = await readRelations(ways.source, context.config);
    expect((await verifyRows(context, relations)).comparison).toMatchObject({ ok: true });
  });
});

describe('the end of the way back', () => {
  it('a cutover for which none is wanted leaves nothing on the target of the one before it', async () => {
    const cutover = { ...ways.config.cutover, wayBack: 'none' as const };
    const context = await ways.migration.context('cutover', { ...ways.config, cutover });
    const target = await context.connect('target');
    await armWayBack(context, { source: await context.connect('source'), target });
    expect(await captureOf(ways.target)).toEqual({ triggers: 0, schemas: 0 });
    expect(await ways.fact('back.capture.triggers')).toEqual({});
    await context.close();
  });

  it('takes capture off the target, stops feeding, keeps the source closed, and a rollback is refused', async () => {
    expect(await ways.run('cutover')).toMatchObject({ status: 0 });
    expect((await ways.run('finalize')).output).toMatch(/^finalize: the way back is ended: \d+ triggers are off/);
    expect(await ways.fences()).toEqual(['final', 'open']);
    expect(await captureOf(ways.target)).toEqual({ triggers: 0, schemas: 0 });
    expect((await ways.run('rollback')).output).toContain('there is no way back');
    expect([await ways.takesWrites('source'), await ways.takesWrites('target')]).toEqual([false, true]);
  });
});
