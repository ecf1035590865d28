import { passRowSecurity } from '../../../assets/agent/bucardo/row-security';
import type { Relation } from '../../../assets/agent/catalog/relations';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

const relation = (name: string): Relation => ({ schema: 'public', name }) as Relation;

let target: TestPostgres;
beforeAll(async () => {
  target = await startPostgres({ version: 15 });
});
afterAll(() => target?.stop());

test('before PostgreSQL 16 nobody hands BYPASSRLS on, and Bucardo is a member of the owners, but for a login that is one', async () => {
  const client = await target.connect();
  await client.query(`
    CREATE ROLE keeper; CREATE ROLE other; CREATE ROLE master LOGIN CREATEROLE BYPASSRLS; CREATE ROLE ibex_bucardo LOGIN;
    GRANT ibex_bucardo, keeper, other TO master;
    CREATE TABLE kept (id int); ALTER TABLE kept OWNER TO keeper; ALTER TABLE kept ENABLE ROW LEVEL SECURITY;
    CREATE TABLE own (id int); ALTER TABLE own OWNER TO master; ALTER TABLE own ENABLE ROW LEVEL SECURITY;
    CREATE TABLE plain (id int); ALTER TABLE plain OWNER TO other; SET SESSION AUTHORIZATION master`);
  const owners = async (): Promise<unknown[]> =>
    (
      await client.query(
        `SELECT roleid::regrole::text AS owner FROM pg_auth_members WHERE member = 'ibex_bucardo'::regrole`,
      )
    ).rows as unknown[];

  await expect(passRowSecurity(client, [relation('kept'), relation('own')])).rejects.toThrow(
    /^row security of public\.own would refuse role "ibex_bucardo" on the target \(must be superuser to .*; role "master" is a member of role "ibex_bucardo"\)/,
  );
  expect(await owners()).toEqual([]);
  await passRowSecurity(client, [relation('kept'), relation('plain')]);
  expect(await owners()).toEqual([{ owner: 'keeper' }]);
  await client.end();
});
