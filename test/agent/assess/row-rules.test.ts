import type { Client } from 'pg';
import type { Ends } from '../../../assets/agent/assess/check';
import { rowRuleChecks } from '../../../assets/agent/assess/row-rules';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let server: TestPostgres;
let source: Client;
beforeAll(async () => {
  server = await startPostgres({ version: 17 });
  source = await server.connect();
  await source.query('CREATE SCHEMA apart; CREATE SCHEMA app');
});
afterAll(() => server.stop());
beforeEach(() => source.query('BEGIN'));
afterEach(() => source.query('ROLLBACK'));

/** What is said of these objects, to a session that finds nothing by its search path, as ours. */
async function found(objects: string): Promise<string[]> {
  await source.query(`SET LOCAL search_path = app; ${objects}; SET LOCAL search_path = pg_catalog`);
  const context = { config: { excludeSchemas: ['apart'] } };
  const ends = { source, sourceVersion: 170_000, context } as unknown as Ends;
  const answers = [];
  for (const check of rowRuleChecks) answers.push(...(await check.run(ends)).findings);
  return answers.map(({ severity, text }) => `${severity}: ${text}`);
}

const KNOWN = `CREATE FUNCTION known(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END'`;
const TABLE = 'CREATE TABLE item (id int PRIMARY KEY, v int';

test.each([
  ['a check', `${TABLE} CHECK (known(v)))`, 'table app.item'],
  ['a domain', 'CREATE DOMAIN code AS int CHECK (known(VALUE))', 'domain app.code'],
  ['a generated column', `${TABLE}, g boolean GENERATED ALWAYS AS (known(v)) STORED)`, 'table app.item'],
  ['an expression of an index', `${TABLE}); CREATE INDEX by_known ON item (known(v))`, 'index app.by_known'],
  ['a predicate of an index', `${TABLE}); CREATE INDEX by_known ON item (v) WHERE known(v)`, 'index app.by_known'],
  ['a partition key', 'CREATE TABLE item (id int, v int) PARTITION BY LIST (known(v))', 'table app.item'],
  [
    'several',
    `${TABLE} CHECK (known(v)) CHECK (NOT known(v))); CREATE INDEX by_known ON item (v) WHERE known(v)`,
    'index app.by_known and 1 more',
  ],
])('a function without a search path that %s has called is named with it', async (_what, made, by) => {
  expect(await found(`${KNOWN}; ${made}`)).toEqual([
    expect.stringMatching(
      new RegExp(
        `^warning: function app.known\\(integer\\), which ${by} has called for each row, has no search_path of its own: .*SET search_path$`,
      ),
    ),
  ]);
});

test.each([
  ['has one', `${KNOWN}; ALTER FUNCTION known SET search_path = app; ${TABLE} CHECK (known(v)))`],
  ['was read when it was made', `CREATE FUNCTION known(int) RETURNS boolean RETURN true; ${TABLE} CHECK (known(v)))`],
  [
    'is of an extension',
    `CREATE EXTENSION citext; ${KNOWN}; ALTER EXTENSION citext ADD FUNCTION known(int); ${TABLE} CHECK (known(v)))`,
  ],
  [
    'is written in C',
    `CREATE FUNCTION known(int) RETURNS int IMMUTABLE LANGUAGE internal AS 'int4abs'; ${TABLE} CHECK (known(v) > 0))`,
  ],
  ['only a default calls', `${KNOWN}; CREATE TABLE item (id int PRIMARY KEY, v boolean DEFAULT known(1))`],
  ['only a table calls that is not migrated', `${KNOWN}; CREATE TABLE apart.item (id int CHECK (known(id)))`],
])('a function that %s is nothing to tell', async (_what, made) => {
  expect(await found(made)).toEqual([]);
});

test('a constraint of a domain that was never validated is named; once it is, there is nothing to tell', async () => {
  const domain =
    'CREATE DOMAIN code AS text; ALTER DOMAIN code ADD CONSTRAINT short CHECK (length(VALUE) < 5) NOT VALID';
  const validated = 'ALTER DOMAIN code VALIDATE CONSTRAINT short';
  await source.query('SAVEPOINT empty');
  expect(await found(domain)).toEqual([
    expect.stringMatching(
      /^warning: constraint short of domain app.code is NOT VALID: .*ALTER DOMAIN app.code VALIDATE CONSTRAINT short, or drop it until after the cutover$/,
    ),
  ]);
  await source.query('ROLLBACK TO empty');
  expect(await found(`${domain}; ${validated}`)).toEqual([]);
});
