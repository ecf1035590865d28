import { dropCapture, ourTriggers } from '../../../assets/agent/cleanup/source';
import type { Context } from '../../../assets/agent/context';
import { startPostgres, type TestPostgres } from '../../helpers/postgres';

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres({ version: 11 });
});
afterAll(() => server.stop());

/** What the removal asks of its context. */
const context = {
  config: { capture: { lockTimeoutMs: 500, attempts: 2 } },
  progress: { report: () => undefined },
} as unknown as Context;

test('a login that may make triggers and owns no table takes its own off again', async () => {
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
