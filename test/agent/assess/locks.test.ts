import { readFileSync } from 'node:fs';
import type { Client } from 'pg';
import type { Ends } from '../../../assets/agent/assess/check';
import { LOCKS_PER_QUEUE, lockChecks } from '../../../assets/agent/assess/locks';
import { queueStatements } from '../../../assets/agent/capture/objects';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

/** Where Debian's package keeps the functions that Bucardo makes on a source. */
const SCHEMA_FILE = '/usr/share/bucardo/bucardo.schema';

/** Room for 320 locks, with the three workers of autovacuum, eight others and one more process. */
const SMALL = { max_locks_per_transaction: '10', max_connections: '18', max_prepared_transactions: '2' };
const WIDE = { max_locks_per_transaction: '1000' };

const CONFIG = { excludeSchemas: ['bucardo'] } as unknown as AgentConfig;

let small: TestPostgres;
let wide: TestPostgres;
beforeAll(async () => {
  [small, wide] = await Promise.all([
    startPostgres({ version: 11, settings: SMALL }),
    startPostgres({ version: 17, settings: WIDE }),
  ]);
});
afterAll(() => Promise.all([small?.stop(), wide?.stop()]));

const tables = (count: number): string =>
  Array.from({ length: count }, (_, i) => `CREATE TABLE item${i} (id int PRIMARY KEY)`).join(';');

/** What is said of the two servers, where the source has so many tables; none of them is left. */
async function found(source: Client, target: Client, count: number): Promise<string[]> {
  await source.query(tables(count));
  try {
    const relations = await readRelations(source, CONFIG);
    const ends = { context: { config: CONFIG }, source, target, relations } as unknown as Ends;
    const answers = [];
    for (const check of lockChecks) answers.push(...(await check.run(ends)).findings);
    return answers.map(({ severity, text }) => `${severity}: ${text}`);
  } finally {
    for (let i = 0; i < count; i += 1) await source.query(`DROP TABLE item${i}`);
  }
}

test.each([
  ['nothing is said', 32, []],
  ['half of it is warned of', 33, [/^warning: source has room for 320 locks .* a run of Bucardo may hold 165 at once/]],
])("of a source's lock table %s (%i tables)", async (_what, count, texts) => {
  const [source, target] = [await small.connect(), await wide.connect()];
  expect(await found(source, target, count)).toEqual(texts.map((text) => expect.stringMatching(text)));
});

test("all of a source's lock table is refused, with what to set", async () => {
  const [source, target] = [await small.connect(), await wide.connect()];
  expect(await found(source, target, 65)).toEqual([
    'refusal: source has room for 320 locks (max_locks_per_transaction is 10), and a run of Bucardo may hold 325 at once: when none is left, statements fail with "out of shared memory", the application\'s among them; set max_locks_per_transaction to 21 at least, on standbys first, and restart the server',
  ]);
});

test('a target takes what the making of its schema takes', async () => {
  const [source, target] = [await wide.connect(), await small.connect()];
  expect(await found(source, target, 156)).toEqual([]);
  await source.query('CREATE TABLE long (id serial, body text)');
  try {
    expect(await found(source, target, 157)).toEqual([
      expect.stringMatching(/^warning: target .* and the transaction that makes the schema may hold 161 at once/),
    ]);
  } finally {
    await source.query('DROP TABLE long');
  }
});

/** Relations that this session's transaction has locked, by a pattern of their schema. */
async function locked(client: Client, schema: string): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT DISTINCT c.relname AS name FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relnamespace::regnamespace::text ~ $1`,
    [schema],
  );
  return (rows as { name: string }[]).map(({ name }) => name);
}

test.each([
  ['11', () => small],
  ['17', () => wide],
])("Bucardo's look at the queues of PostgreSQL %s locks as much of each as is counted", async (_version, server) => {
  const client = await server().connect();
  const text = readFileSync(SCHEMA_FILE, 'utf8');
  const body = /\{ name => 'bucardo_delta_check',[^\n]*body => q\{\n([\s\S]*?)\n\}\n\}/.exec(text)?.[1];
  await client.query(`BEGIN; CREATE SCHEMA bucardo;
    CREATE TABLE bucardo.bucardo_delta_names (sync text, tablename text, deltaname text, trackname text);
    CREATE FUNCTION bucardo.bucardo_delta_check(text, text) RETURNS SETOF text LANGUAGE plpgsql AS $_$${body}$_$;
    ${tables(3)}; COMMIT`);
  const relations = await readRelations(client, CONFIG);
  for (const relation of relations) {
    for (const statement of queueStatements(relation)) await client.query(statement);
    const { schema, name } = relation;
    await client.query(`INSERT INTO bucardo.bucardo_delta_names VALUES ('ibex', $1, 'delta_' || $2, 'track_' || $2)`, [
      `${schema}.${name}`,
      `${schema}_${name}`,
    ]);
  }
  await client.query('BEGIN');
  const { rows } = await client.query(`SELECT * FROM bucardo.bucardo_delta_check('ibex', 'dbgroup ibex')`);
  const queues = (await locked(client, '^bucardo$')).filter((name) => name !== 'bucardo_delta_names');
  await client.query('ROLLBACK; DROP SCHEMA bucardo CASCADE; DROP TABLE item0, item1, item2');

  expect(rows).toHaveLength(3);
  expect(queues).toHaveLength(3 * LOCKS_PER_QUEUE);
});

test('a transaction that makes a schema locks as much as is counted', async () => {
  const client = await wide.connect();
  await client.query(`BEGIN; CREATE SCHEMA app; CREATE TABLE app.item (id serial, body text);
    CREATE TABLE app.part (id int, body text) PARTITION BY LIST (id);
    CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES IN (1);
    CREATE VIEW app.shown AS SELECT * FROM app.item`);
  const made = [...(await locked(client, '^app$')), ...(await locked(client, '^pg_toast$'))];
  const ends = { context: { config: CONFIG }, source: client, target: client, relations: [] } as unknown as Ends;
  const answer = await lockChecks[0]?.run(ends);
  await client.query('ROLLBACK');

  expect(answer?.result).toMatchObject({ made: made.length });
});
