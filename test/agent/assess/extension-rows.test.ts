import type { Client } from 'pg';
import type { Ends } from '../../../assets/agent/assess/check';
import { extensionRows } from '../../../assets/agent/assess/extension-rows';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let server: TestPostgres;
let source: Client;
beforeAll(async () => {
  server = await startPostgres({ version: 11 });
  source = await server.connect();
  // As an extension's script does with pg_extension_config_dump, which may be called from there only.
  await source.query(`
    CREATE EXTENSION citext; CREATE SCHEMA "My Jobs";
    CREATE TABLE "My Jobs"."Job" (name text, builtin boolean); INSERT INTO "My Jobs"."Job" VALUES ('own', true);
    ALTER EXTENSION citext ADD TABLE "My Jobs"."Job";
    UPDATE pg_extension SET extconfig = ARRAY['"My Jobs"."Job"'::regclass::oid], extcondition = ARRAY['WHERE NOT builtin']
    WHERE extname = 'citext'`);
});
afterAll(() => server.stop());

const found = async (): Promise<readonly string[]> =>
  (await extensionRows.run({ source } as unknown as Ends)).findings.map(({ severity, text }) => `${severity}: ${text}`);

test('what comes with the extension is nothing to tell', async () => {
  expect(await found()).toEqual([]);
});

test('rows of the user in a table of an extension are named, since nobody moves them', async () => {
  await source.query(`INSERT INTO "My Jobs"."Job" VALUES ('nightly', false)`);
  expect(await found()).toEqual([
    expect.stringMatching(
      /^warning: extension "citext" keeps rows of yours in "My Jobs"."Job", which are neither moved nor compared nor fenced; .*WHERE NOT builtin/,
    ),
  ]);
});

test('a table that cannot be looked at is named as well', async () => {
  await source.query('CREATE ROLE mover; SET ROLE mover');
  expect(await found()).toEqual([expect.stringContaining('cannot be looked at (permission denied')]);
  await source.query('RESET ROLE');
});
