import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import type { AgentConfig } from '../../assets/agent/config';
import type { Context } from '../../assets/agent/context';
import { plans } from '../../assets/agent/plans';
import type { Comparison } from '../../assets/agent/plans/compare';
import { readStatements } from '../../assets/agent/plans/statements';
import { PLANS_GATE } from '../../assets/agent/ready/plans-gate';
import type { Answer, Look } from '../../assets/agent/ready/gate';
import { startMigration, type TestMigration } from '../helpers/migration';

let migration: TestMigration;
let source: Client;
let target: Client;

const TABLES = `
  CREATE SCHEMA shop;
  CREATE TABLE shop.orders (id int PRIMARY KEY, customer int, note text, paid bool);
  CREATE TABLE shop.log (id serial PRIMARY KEY, line text);
  INSERT INTO shop.orders SELECT n, n % 2000, 'Jane Doe ' || n % 50, n % 2 = 0 FROM generate_series(1, 40000) AS n;
  CREATE FUNCTION shop.noted(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO shop.log (line) VALUES ($1); RETURN $1; END $$;
  CREATE VIEW shop.hidden AS SELECT shop.noted(note) AS note FROM shop.orders WHERE id = 1;
  GRANT USAGE ON SCHEMA shop TO app;
  GRANT ALL ON ALL TABLES IN SCHEMA shop TO app;
  GRANT ALL ON ALL SEQUENCES IN SCHEMA shop TO app`;
const INDEX = 'CREATE INDEX orders_customer ON shop.orders (customer)';
const FUNCTION = `CREATE FUNCTION shop.initials(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT left($1, 1)'`;

beforeAll(async () => {
  migration = await startMigration({ preload: 'pg_stat_statements' });
  source = await migration.admin('source');
  await source.query(`CREATE ROLE app LOGIN; ALTER ROLE app SET search_path = shop`);
  target = await migration.target.connect(migration.config.target.database);
  await target.query('CREATE ROLE app; GRANT app TO master; GRANT CREATE ON SCHEMA public TO master');
  for (const client of [source, target]) {
    await client.query(TABLES);
    await client.query('ANALYZE');
    await client.query('CREATE EXTENSION pg_stat_statements');
  }
  await target.query(`ALTER SCHEMA shop OWNER TO master; GRANT pg_read_all_data TO master`);
  await source.query(`${INDEX}; ${FUNCTION}`);
});
afterAll(() => migration.stop());
beforeEach(async () => {
  await source.query('SELECT pg_stat_statements_reset()');
});

/** Runs statements as the application does, so that the source counts them. */
async function asApplication(...statements: readonly string[]): Promise<void> {
  const client = await migration.source.connect(migration.config.source.database);
  await client.query(`SET SESSION AUTHORIZATION app; SET search_path = shop`);
  for (const statement of statements) await client.query(statement);
  await client.end();
}

/** Runs the phase. Returns what it found, statement by statement. */
async function compare(
  settings: Partial<AgentConfig['plans']> = {},
): Promise<{ context: Context; found: readonly Comparison[]; message: string }> {
  const context = await migration.context('plans', { plans: { ...migration.config.plans, ...settings } });
  const { message } = await plans.run(context);
  const evidence = (await context.state.allEvidence()).findLast(({ gate }) => gate === 'plans');
  return { context, message, found: (evidence!['result'] as { comparisons: Comparison[] }).comparisons };
}

/** Other tests run beside: no time is long enough to count. */
const FIGURES_ASIDE = { worseFactor: 1_000 };

const gate = (context: Context): Promise<Answer> => PLANS_GATE.ask({ context } as unknown as Look);

describe('the statements that cost the source most', () => {
  test('are equal on both ends when both ends are alike, and run there with values of the statistics', async () => {
    await target.query(`${INDEX}; ${FUNCTION}`);
    await asApplication(
      'SELECT * FROM orders WHERE customer = 42',
      'SELECT count(*) FROM orders WHERE id IN (1, 2, 3) AND paid LIMIT 3',
      `SELECT initials(note) FROM orders WHERE id = 7`,
    );
    const { context, found } = await compare(FIGURES_ASIDE);
    await target.query('DROP INDEX shop.orders_customer; DROP FUNCTION shop.initials');
    expect(found.map(({ verdict, notMeasured }) => [verdict, notMeasured])).toEqual(
      Array.from({ length: 3 }, () => ['equal', undefined]),
    );
    for (const { source: there, target: here } of found) {
      expect(there?.blocks).toBeGreaterThan(0);
      expect(here?.blocks).toBeGreaterThan(0);
    }
    expect(await gate(context)).toMatchObject({
      verdict: 'pass',
      figure: '3 statements compared, 3 measured, none worse',
    });
  });

  test('are found worse by an index that the target lacks, with figures and what to do', async () => {
    await asApplication('SELECT * FROM orders WHERE customer = 42');
    const { context, found } = await compare();
    expect(found).toEqual([
      expect.objectContaining({
        verdict: 'worse',
        statement: 'SELECT * FROM orders WHERE customer = $1',
        calls: 1,
        reasons: expect.arrayContaining([
          expect.stringMatching(/^\d+ blocks read instead of \d+$/),
          'reads all of "shop"."orders", where the source takes orders_customer',
        ]) as string[],
        todo: ['make index orders_customer on "shop"."orders" of the target: the source has it'],
      }),
    ]);
    expect(await gate(context)).toMatchObject({
      verdict: 'warn',
      figure: expect.stringMatching(/^1 worse on the target: -?\d+ \(.* instead of /) as string,
      todo: expect.stringContaining('make index orders_customer') as string,
    });
  });

  test('are found worse by their plans alone where nothing may be run', async () => {
    await asApplication('SELECT * FROM orders WHERE customer = 42');
    const { context, found } = await compare({ timing: 'off', onWorse: 'block' });
    expect(found).toMatchObject([{ verdict: 'worse', notMeasured: 'agent.plans.timing is "off"' }]);
    expect(found[0]?.source?.ms).toBeUndefined();
    expect(await gate(context)).toMatchObject({ verdict: 'block' });
  });

  test('block the cutover when the target refuses what the source plans', async () => {
    await asApplication('SELECT initials(note) FROM orders WHERE id = 7');
    const { context, found, message } = await compare();
    expect(found).toMatchObject([
      {
        verdict: 'failed',
        reasons: ['the target refuses it: function initials(text) does not exist (42883)'],
        todo: ['make the function or operator on the target, or the extension that has it'],
      },
    ]);
    expect(message).toContain('1 refused there');
    expect(await gate(context)).toMatchObject({ verdict: 'block', todo: expect.stringMatching(/^make the function/) });
    const warned = await compare({ onFailure: 'warn' });
    expect(await gate(warned.context)).toMatchObject({ verdict: 'warn' });
  });

  test('are never run when they could write, lock or call what could', async () => {
    await asApplication(
      `UPDATE orders SET note = 'x' WHERE id = 5`,
      `WITH gone AS (DELETE FROM log WHERE id = 1 RETURNING id) SELECT * FROM gone`,
      'SELECT id FROM orders WHERE id = 9 FOR UPDATE',
      'SELECT noted(note) FROM orders WHERE id = 1',
      'SELECT * FROM hidden',
      'SELECT pg_advisory_lock(id) FROM orders WHERE id = 3',
    );
    const lines = async (client: Client): Promise<number> => {
      return Number(((await client.query('SELECT count(*) FROM shop.log')).rows[0] as { count: string }).count);
    };
    const before = [await lines(source), await lines(target)];
    const { found } = await compare();
    expect(
      Object.fromEntries(
        found.map(({ statement, notMeasured }) => [statement.split(' ').slice(0, 2).join(' '), notMeasured]),
      ),
    ).toEqual({
      'UPDATE orders': 'it writes',
      'WITH gone': 'it writes',
      'SELECT id': 'it locks rows',
      'SELECT noted(note)': expect.stringContaining('it calls what may write: shop.noted') as string,
      'SELECT *': expect.stringContaining('it calls what may write: shop.noted') as string,
      'SELECT pg_advisory_lock(id)': expect.stringContaining('pg_advisory_lock') as string,
    });
    expect(found.every(({ verdict, source: plan }) => verdict === 'equal' && plan?.shape !== '')).toBe(true);
    expect([await lines(source), await lines(target)]).toEqual(before);
  });

  test('show no value, neither of the application nor of the statistics', async () => {
    await asApplication(`SELECT /* user Jane */ * FROM orders WHERE note = 'Jane Doe 7'`);
    const { context, found } = await compare(FIGURES_ASIDE);
    expect(found).toMatchObject([{ statement: 'SELECT * FROM orders WHERE note = $1', verdict: 'equal' }]);
    expect(found[0]).not.toHaveProperty('notMeasured');
    expect(JSON.stringify(await context.state.allEvidence())).not.toContain('Jane');
  });

  test('are planned with the rights of their role, out of which no function gets', async () => {
    await source.query(`
      CREATE FUNCTION shop.sly() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN
          BEGIN PERFORM set_config('role', 'none', true); EXCEPTION WHEN OTHERS THEN NULL; END;
          RAISE EXCEPTION 'planned by %', current_user;
        END $$`);
    await asApplication('SELECT * FROM orders WHERE id = sly()').catch(() => undefined);
    const file = statementsFile([{ name: 'sly', text: 'SELECT * FROM orders WHERE id = sly()', role: 'app' }]);
    const { found } = await compare({ file, statements: 0 });
    expect(found).toMatchObject([{ verdict: 'unknown', reasons: [expect.stringContaining('planned by app')] }]);
    await source.query('DROP FUNCTION shop.sly()');
  });

  test('leave nothing behind on either end', async () => {
    await asApplication('SELECT * FROM orders WHERE customer = 42');
    await compare();
    for (const client of [source, target]) {
      const { rows } = await client.query(`SELECT FROM pg_proc WHERE proname LIKE 'ibex%'`);
      expect(rows).toEqual([]);
    }
  });

  test('are left alone on a source that is busy', async () => {
    await asApplication('SELECT * FROM orders WHERE id = 7');
    const busy = await migration.admin('source');
    const sleeping = busy.query('SELECT pg_sleep(60)').catch(() => undefined);
    const context = await migration.context('plans', { brake: { ...migration.config.brake, slowSessions: 1 } });
    await plans.run(context);
    await source.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()`,
    );
    await sleeping;
    const evidence = (await context.state.allEvidence()).findLast(({ gate: name }) => name === 'plans');
    expect(evidence).toMatchObject({
      result: { comparisons: [{ notMeasured: 'not on the source: 1 sessions are active on the source' }], sourceMs: 0 },
    });
  });

  test('are read under the name that the time has from 13 on', async () => {
    await target.query('SELECT pg_stat_statements_reset()');
    await target.query(`SET ROLE app; SELECT count(*) FROM shop.orders; RESET ROLE`);
    const login = await (await migration.context('plans')).connect('target');
    await target.query(`GRANT pg_read_all_stats TO master`);
    const { statements } = await readStatements(login, migration.config.plans);
    expect(statements.filter(({ role }) => role === 'app')).toMatchObject([
      { text: 'SELECT count(*) FROM shop.orders', role: 'app', calls: 1 },
    ]);
  });
});

/** Writes a file of statements onto the host. */
function statementsFile(statements: unknown): string {
  const file = join(migration.secrets, '..', 'statements.json');
  writeFileSync(file, JSON.stringify(statements));
  return file;
}

describe('a file of statements', () => {
  test('is compared with its values, by its names', async () => {
    const text = 'SELECT * FROM shop.orders WHERE customer = $1';
    const file = statementsFile([{ name: 'of a customer', text, values: [42] }]);
    const { found } = await compare({ file, statements: 0 });
    expect(found).toMatchObject([{ id: 'of a customer', statement: 'of a customer', verdict: 'worse' }]);
  });

  test('takes one statement at a time', async () => {
    const file = statementsFile([{ name: 'two', text: 'SELECT 1; DROP TABLE shop.log' }]);
    const { found } = await compare({ file, statements: 0 });
    expect(found).toMatchObject([
      { verdict: 'unknown', reasons: [expect.stringContaining('cannot insert multiple commands')] },
    ]);
  });

  test.each([
    ['no list', { name: 'x' }, /is no list of statements/],
    ['no text', [{ name: 'x' }], /statement 1: needs "name" and "text"/],
    ['other values', [{ name: 'x', text: 'SELECT 1', values: 'one' }], /"values" must be a list/],
  ])('with %s is refused by name', async (_what, content, message) => {
    await expect(compare({ file: statementsFile(content) })).rejects.toThrow(message);
  });
});

test('nothing to compare is said', async () => {
  await source.query('DROP EXTENSION pg_stat_statements');
  const { context, message } = await compare();
  await source.query('CREATE EXTENSION pg_stat_statements');
  expect(message).toContain('the extension pg_stat_statements is not in the source');
  expect(await gate(context)).toMatchObject({ verdict: 'warn', figure: expect.stringMatching(/^none compared/) });
});
