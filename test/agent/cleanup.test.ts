import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { BUCARDO_ROWS_FACT } from '../../assets/agent/bucardo/runs';
import { OFF_FACT, takenOff } from '../../assets/agent/brake/capture-off';
import { cleanup } from '../../assets/agent/cleanup';
import { acknowledgeGone, GONE_WORDS } from '../../assets/agent/cleanup/gone';
import { leftovers } from '../../assets/agent/cleanup/leftovers';
import { rowArchive } from '../../assets/agent/dump/partial';
import type { AgentConfig } from '../../assets/agent/config';
import type { End } from '../../assets/agent/endpoints';
import { oneLine } from '../../assets/agent/errors';
import { fenceFunction, type FenceState } from '../../assets/agent/fence/objects';
import { Jobs } from '../../assets/agent/job';
import { UNFENCE_WORDS } from '../../assets/agent/unfence';
import { listCatalog } from '../helpers/catalog';
import { PASSWORD } from '../helpers/migration';
import { until } from '../helpers/until';
import { startBothWays, type BothWays } from './cutover/both-ways';

let ways: BothWays;
/** All that was there before the migration began. */
const before = { source: [] as string[], target: [] as string[] };
beforeAll(async () => {
  const tables = `
    CREATE TABLE item (id int PRIMARY KEY); CREATE TABLE probe (id int PRIMARY KEY); CREATE SCHEMA "Left Out";
    CREATE TABLE "Left Out"."Order" (id int PRIMARY KEY)`;
  ways = await startBothWays(tables, {}, async (migration) => {
    for (const end of ['source', 'target'] as const) {
      const client = await migration.admin(end);
      before[end] = await listCatalog(client);
      await client.end();
    }
    return {};
  });
  await ways.source.query('INSERT INTO item VALUES (1)');
});
afterAll(() => ways?.stop());

async function clean(overrides: Partial<AgentConfig> = {}): Promise<string> {
  const context = await ways.migration.context('cleanup', overrides);
  try {
    return (await cleanup.run(context)).message;
  } finally {
    await context.close();
  }
}

/** An end as it is when nothing answers there. */
const away = (end: End): Partial<AgentConfig> => ({ [end]: { ...ways.migration.config[end], port: 1 } });

/** Triggers, schemas and roles of ours on an end. */
async function ours(end: End): Promise<string[]> {
  const { rows } = await ways[end].query(`
    SELECT DISTINCT t.tgname::text AS name FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
      JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('ibex', 'bucardo') AND NOT tgisinternal
    UNION SELECT nspname FROM pg_namespace WHERE nspname IN ('ibex', 'bucardo')
    UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 'ibex%' ORDER BY 1`);
  return (rows as { name: string }[]).map(({ name }) => name);
}

const setFence = (client: Client, state: FenceState): Promise<unknown> => client.query(fenceFunction(state));

/** Runs the file as an operator does who has nothing but psql. */
function psql(end: End, ...options: string[]): Promise<{ status: number; output: string }> {
  const { host, port, database } = ways.migration.config[end];
  const user = end === 'source' ? 'mover' : 'master';
  const args = [
    '-X',
    ...options,
    '-f',
    'assets/sql/remove.sql',
    '-h',
    host!,
    '-p',
    String(port),
    '-U',
    user,
    database!,
  ];
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], PGPASSWORD: PASSWORD };
    const child = execFile('psql', args, { env }, (_, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, output: stdout + stderr }),
    );
  });
}

describe('cleanup', () => {
  it('refuses while writes are between both ends, and removes nothing', async () => {
    const open = 'CREATE OR REPLACE FUNCTION ibex.fence() RETURNS trigger LANGUAGE plpgsql AS';
    await ways.source.query(`CREATE SCHEMA ibex; ${open} 'BEGIN RETURN NULL; END'`);
    await setFence(ways.source, { kind: 'final' });
    await expect(clean()).rejects.toThrow('a cutover has passed its point of no return and did not end');
    await setFence(ways.source, { kind: 'open' });
    expect(await ours('source')).toContain('bucardo_delta');
    expect(await ways.run('cutover')).toMatchObject({ status: 0 });
    expect(await ours('target')).toEqual(expect.arrayContaining(['bucardo', 'bucardo_delta', 'ibex']));
  });

  it('with the source away cleans the target that takes the writes, and says what is left and how to take it off', async () => {
    await expect(clean(away('source'))).rejects.toThrow(
      /still there: the source cannot be changed \(cannot connect to source .*ECONNREFUSED.*\): triggers, schemas bucardo and ibex and the fence may be left there; .*remove\.sql/,
    );
    // Who makes a role, as the schema's owner was, is a member of it.
    const known = new Set([...before.source, ...before.target, 'member master of mover']);
    expect((await listCatalog(ways.target)).filter((line) => !known.has(line))).toEqual([]);
    expect(await ways.takesWrites('target')).toBe(true);
  });

  it('with the target away leaves a source that was left as it is, since nobody can tell what the target has', async () => {
    await expect(clean(away('target'))).rejects.toThrow(/the source refuses writes, .*: nothing was removed/);
    expect(await ours('source')).toContain('bucardo_delta');
  });

  it('ends without a source that is said to be gone for good, which is evidence, and says so of no source that answers', async () => {
    const config = { ...ways.migration.config, ...away('source') };
    await expect(acknowledgeGone(config, 'yes')).rejects.toThrow(`gone needs --accept "${GONE_WORDS}"`);
    await expect(acknowledgeGone(ways.migration.config, GONE_WORDS)).rejects.toThrow('the source answers');
    await expect(clean(away('source'))).rejects.toThrow(`or, when it never comes back, ibex gone --accept`);
    expect(await acknowledgeGone(config, GONE_WORDS)).toMatch(/^the source is taken for gone/);
    expect(await clean(away('source'))).toMatch(/gone from the target; the source, gone for good, was left as it is$/);
    expect(await ours('source')).toContain('bucardo_delta');
    const context = await ways.migration.context('report');
    const evidence = (await context.state.allEvidence()).findLast(({ gate }) => gate === 'nothing is left');
    await context.close();
    expect(evidence).toMatchObject({ passed: true, result: { left: [], gone: { accepted: GONE_WORDS } } });
  });

  it('with Bucardo broken, and somebody looking at its database, drops that all the same', async () => {
    const host = await ways.migration.host.connect();
    await host.query('CREATE DATABASE bucardo');
    const looking = await ways.migration.host.connect('bucardo');
    looking.on('error', () => undefined);
    await clean();
    expect((await host.query(`SELECT 1 FROM pg_database WHERE datname = 'bucardo'`)).rowCount).toBe(0);
    await looking.end();
    await host.end();
  });

  it.each([
    ['schema', 'GRANT USAGE ON SCHEMA bucardo TO PUBLIC'],
    ['function', 'ALTER FUNCTION bucardo.noted() COST 200'],
  ])('begins anew when somebody changes the same %s at once', async (_, change) => {
    await ways.source.query(
      `DROP SCHEMA IF EXISTS bucardo CASCADE; CREATE SCHEMA bucardo;
       CREATE FUNCTION bucardo.noted() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    );
    const other = await ways.migration.admin('source');
    await other.query(`BEGIN; ${change}`);
    const cleaning = clean().catch(oneLine);
    const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DROP SCHEMA%'`;
    await until(async () => (await ways.source.query(waits)).rowCount === 1);
    await other.query('COMMIT');
    await other.end();
    expect(await cleaning).toMatch(/gone from both ends; the source stays fenced/);
    expect(await ours('source')).toEqual(['ibex', 'ibex_fence']);
  });

  it('when it is repeated, still knows the rows that Bucardo had applied before its database was dropped', async () => {
    const { state } = await ways.migration.context('report');
    await state.setFact(BUCARDO_ROWS_FACT, 7);
    await clean();
    expect(await state.fact(BUCARDO_ROWS_FACT)).toBe(7);
  });

  it('with the host lost and the source read-only by default leaves nothing but the fence of the source', async () => {
    const { database } = ways.migration.config.source;
    await ways.source.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
    const context = await ways.migration.context('cleanup');
    await context.state.client.query('DROP SCHEMA ibex CASCADE');
    await context.close();
    expect(await clean()).toMatch(/gone from both ends; the source stays fenced/);
    await ways.source.query(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
    expect(await ours('source')).toEqual(['ibex', 'ibex_fence']);
    expect(await ways.fences()).toEqual(['final', undefined]);
    const { rows } = await ways.source.query(
      `SELECT relname FROM pg_class WHERE relnamespace = 'ibex'::regnamespace AND relkind IN ('r', 'S')`,
    );
    expect(rows).toEqual([]);
    expect(await ways.takesWrites('source')).toBe(false);
  });

  it('would name whatever was still there: on the host, beside the fence, and a fence that is not final', async () => {
    const { host } = ways.migration.config;
    const reached = { source: ways.source, target: ways.target, untouched: [], keepFence: true };
    expect(await leftovers(host, reached)).toEqual([]);
    const server = await ways.migration.host.connect();
    await server.query('CREATE DATABASE bucardo');
    writeFileSync(join(host.runDirectory, 'source.pgpass'), '');
    mkdirSync(rowArchive(host.stateDirectory));
    mkdirSync(`${rowArchive(host.stateDirectory)}.partial.1`);
    await ways.source.query('CREATE TABLE ibex.relation (id int)');
    await setFence(ways.source, { kind: 'closed' });
    await ways.target.query('CREATE ROLE ibex_bucardo; CREATE SCHEMA bucardo');
    expect(await leftovers(host, reached)).toEqual([
      `password file ${join(host.runDirectory, 'source.pgpass')}`,
      `dump ${rowArchive(host.stateDirectory)}`,
      `dump ${rowArchive(host.stateDirectory)}.partial.1`,
      'database bucardo on the host',
      'the fence of the source is closed, not final',
      'relation ibex.relation on the source',
      'schema bucardo on the target',
      'role ibex_bucardo on the target',
    ]);
    await server.query('DROP DATABASE bucardo');
    await server.end();
    rmSync(join(host.runDirectory, 'source.pgpass'));
    for (const suffix of ['', '.partial.1']) rmSync(`${rowArchive(host.stateDirectory)}${suffix}`, { recursive: true });
    await ways.source.query('DROP TABLE ibex.relation');
    await setFence(ways.source, { kind: 'final' });
    await ways.target.query('DROP SCHEMA bucardo; DROP ROLE ibex_bucardo');
  });

  it('leaves the fence to a step of its own, which wants to hear what that means', async () => {
    expect(await ways.run('unfence')).toMatchObject({ status: 2, output: expect.stringContaining(UNFENCE_WORDS) });
    expect(await ways.takesWrites('source')).toBe(false);
    expect(await ways.run('unfence', '--accept', UNFENCE_WORDS)).toMatchObject({ status: 0 });
    expect(await ways.takesWrites('source')).toBe(true);
    expect(await listCatalog(ways.source)).toEqual(before.source);
  });

  it('keeps the record of a cutover, and after a rollback forgets it with all that a new migration would refuse for', async () => {
    const { state } = await ways.migration.context('report');
    const jobs = new Jobs(ways.migration.config);
    const known = async (): Promise<string[]> => (await state.phases()).map(({ name }) => name);
    const succeeded = async (phase: string): Promise<void> => {
      await state.phaseStarted(phase);
      await state.phaseEnded(phase, 'succeeded', 'by the test');
      jobs.begin(phase);
      jobs.end(phase, 'succeeded', 'by the test');
    };
    const compared = async (): Promise<string[]> => {
      const tables = ['verified', 'dirty_key'].map((table) => `SELECT relation_name FROM ibex.${table}`);
      return (await state.client.query({ text: tables.join(' UNION ALL '), rowMode: 'array' })).rows.flat() as string[];
    };
    await state.client.query(`
      TRUNCATE ibex.phase;
      INSERT INTO ibex.verified (schema_name, relation_name) VALUES ('public', 'item');
      INSERT INTO ibex.dirty_key (schema_name, relation_name, key, strikes) VALUES ('public', 'item', '{1}', 3)`);
    await succeeded('schema');
    await succeeded('cutover');
    await clean();
    expect(await known()).toEqual(['schema', 'cutover']);
    expect(jobs.line('cutover')).toBe('succeeded cutover: by the test');
    expect(await compared()).toEqual(['item', 'item']);
    await succeeded('rollback');
    await state.setFact(OFF_FACT, { reason: 'the captured changes take 900 MB' });
    await clean();
    expect([await known(), await takenOff(state), await compared()]).toEqual([[], undefined, []]);
    // What the runbook migrate goes by.
    expect(jobs.line('cutover')).toMatch(/^failed cutover: it was never started here/);
  });
});

describe('the SQL file', () => {
  /** Capture and fence as they stand on either end. */
  async function equip(client: Client): Promise<void> {
    await client.query(`
      CREATE SCHEMA bucardo; CREATE SCHEMA ibex; CREATE TABLE bucardo.delta (id int); CREATE TABLE ibex.relation (id int);
      CREATE FUNCTION bucardo.delta() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE FUNCTION ibex.fence() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`);
    await setFence(client, { kind: 'final' });
    for (const table of ['public.item', 'public.probe', '"Left Out"."Order"']) {
      await client.query(`
        CREATE TRIGGER bucardo_delta AFTER UPDATE ON ${table} FOR EACH ROW EXECUTE PROCEDURE bucardo.delta();
        CREATE TRIGGER ibex_fence BEFORE INSERT ON ${table} FOR EACH STATEMENT EXECUTE PROCEDURE ibex.fence()`);
    }
  }

  it.each<End>(['source', 'target'])(
    'takes capture off the %s and keeps the fence, unless told otherwise',
    async (end) => {
      const untouched = await listCatalog(ways[end]);
      await ways[end].query(end === 'target' ? 'SET ROLE master' : 'SELECT 1');
      await equip(ways[end]);
      await ways[end].query('RESET ROLE');
      const first = await psql(end);
      expect(first).toMatchObject({ status: 0, output: expect.stringContaining('the fence is left as it is: final') });
      expect(await ours(end)).toEqual(['ibex', 'ibex_fence']);
      expect(await ways.takesWrites(end)).toBe(false);
      expect((await psql(end, '-v', 'fence=remove')).status).toBe(0);
      expect(await listCatalog(ways[end])).toEqual(untouched);
      expect(await ways.takesWrites(end)).toBe(true);
      // Once more, where there is nothing.
      expect((await psql(end, '-v', 'fence=remove')).status).toBe(0);
    },
  );

  it('leaves a table that is in use, opens it all the same, ends with another status, and finishes when run again', async () => {
    await equip(ways.source);
    const reader = await ways.migration.admin('source');
    await reader.query('BEGIN; SELECT * FROM public.item');
    const { status, output } = await psql('source', '-v', 'fence=remove');
    expect(status).not.toBe(0);
    expect(output).toContain('still there: trigger bucardo_delta on public.item');
    expect(await ours('source')).toEqual(['bucardo', 'bucardo_delta', 'ibex', 'ibex_fence']);
    expect(await ways.takesWrites('source')).toBe(true);
    await reader.query('COMMIT');
    await reader.end();
    expect((await psql('source', '-v', 'fence=remove')).status).toBe(0);
    expect(await ours('source')).toEqual([]);
  });

  it('lets a transaction that reads a table go before, whatever else it asks of it', async () => {
    await equip(ways.source);
    const reader = await ways.migration.admin('source');
    await reader.query('BEGIN; SELECT * FROM public.item');
    const removal = psql('source', '-v', 'fence=remove');
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
    await until(async () => (await ways.source.query(waiting)).rowCount === 1, { seconds: 20 });
    await reader.query('LOCK TABLE public.item');
    await reader.end();
    expect((await removal).status).toBe(0);
    expect(await ours('source')).toEqual([]);
  });
});
