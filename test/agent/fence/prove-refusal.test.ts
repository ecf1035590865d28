import type { Client } from 'pg';
import type { Context } from '../../../assets/agent/context';
import { armFence } from '../../../assets/agent/fence/triggers';
import { closeTarget, fenceGaps } from '../../../assets/agent/fence/target';
import { fenceSource, openSource } from '../../../assets/agent/fence/source';
import { fenceFunction } from '../../../assets/agent/fence/objects';
import { proveRefusal } from '../../../assets/agent/fence/prove-refusal';
import { startMigration, type TestMigration } from '../../helpers/migration';

const TABLES = `
  CREATE SCHEMA "My App"; CREATE TABLE "My App"."Order" (id int PRIMARY KEY); CREATE TABLE "My App".a_rest (id int);
  CREATE TABLE public.item (id int PRIMARY KEY); CREATE TABLE public.parted (id int) PARTITION BY RANGE (id);
  CREATE TABLE public.parted_low PARTITION OF public.parted FOR VALUES FROM (0) TO (9)`;

const ROLES = `
  CREATE ROLE clerk; GRANT DELETE ON ALL TABLES IN SCHEMA "My App" TO clerk; GRANT USAGE ON SCHEMA "My App" TO clerk;
  CREATE ROLE heir IN ROLE clerk; CREATE ROLE locked_out; GRANT DELETE ON "My App"."Order" TO locked_out;
  CREATE ROLE keeper; CREATE ROLE reader; GRANT SELECT ON public.item TO reader; ALTER TABLE public.item OWNER TO keeper`;

let migration: TestMigration;
let context: Context;
let source: Client;
let own: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  await source.query(TABLES);
  await source.query(ROLES);
  context = await migration.context('cutover');
  own = await context.connect('source');
});
afterAll(() => migration.stop());
beforeEach(async () => {
  await source.query('SET client_min_messages = warning; DROP SCHEMA IF EXISTS ibex CASCADE');
  await fenceSource(own, 60, performance.now() + 30_000);
});

const evidence = async () =>
  (await context.state.allEvidence()).filter(({ gate }) => gate === 'writes are refused').at(-1);

describe('a fence that stands', () => {
  it('is proven by a write as each role that may be taken, by a grant, as a member, as owner and as superuser', async () => {
    const proof = await proveRefusal(context, own);
    expect([...proof.roles].sort()).toEqual(['clerk', 'heir', 'keeper', 'mover', 'postgres']);
    expect(proof).toMatchObject({ untried: 0, tables: 5 });
    expect(proof.otherwise).toEqual([{ role: 'locked_out', table: '"My App"."Order"', code: '42501' }]);
    expect(await evidence()).toMatchObject({ passed: true, result: { tried: proof.tried, holes: [] } });
    expect((await own.query('SELECT current_user, session_user')).rows[0]).toEqual({
      current_user: 'mover',
      session_user: 'mover',
    });
  });

  it('is proven on the newer server too, under those roles only that our login may become', async () => {
    const master = await context.connect('target');
    await master.query(`${TABLES}; CREATE ROLE app; GRANT app TO master; GRANT DELETE ON public.item TO app`);
    const other = await migration.admin('target');
    await other.query('CREATE ROLE stranger; GRANT DELETE ON public.item TO stranger');
    await closeTarget(context, master);
    const { roles } = await proveRefusal(context, master);
    expect([...roles].sort()).toEqual(['app', 'master']);
  });

  it('waits for nobody who keeps the table of a write that is tried', async () => {
    const busy = await migration.admin('source');
    await busy.query('BEGIN; LOCK TABLE public.item IN SHARE MODE');
    const { otherwise } = await proveRefusal(context, own);
    await busy.end();
    expect(otherwise).toContainEqual({ role: 'keeper', table: '"public"."item"', code: '55P03' });
  });
});

const REPLACE = 'DROP TRIGGER ibex_fence ON public.item; CREATE TRIGGER ibex_fence';
const FENCE = 'EXECUTE PROCEDURE ibex.fence()';

describe('a fence is refused', () => {
  const mend = async (): Promise<void> => {
    await openSource(own);
    await armFence(own);
    expect(await fenceGaps(own)).toEqual([]);
  };

  it.each([
    [
      'that is switched off on one table',
      'ALTER TABLE public.parted DISABLE TRIGGER ibex_fence',
      'the fence of "public"."parted" is disabled',
    ],
    ['that is taken off one', 'DROP TRIGGER ibex_fence ON public.parted', '"public"."parted" has no fence'],
    [
      'whose trigger has a condition',
      `${REPLACE} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.item FOR EACH STATEMENT WHEN (current_user <> 'app') ${FENCE}`,
      'the trigger ibex_fence of "public"."item" is not the fence',
    ],
    [
      'whose trigger leaves TRUNCATE out',
      `${REPLACE} BEFORE INSERT OR UPDATE OR DELETE ON public.item FOR EACH STATEMENT ${FENCE}`,
      'the trigger ibex_fence of "public"."item" is not the fence',
    ],
    [
      'whose trigger is for some columns',
      `${REPLACE} BEFORE INSERT OR UPDATE OF id OR DELETE OR TRUNCATE ON public.item FOR EACH STATEMENT ${FENCE}`,
      'the trigger ibex_fence of "public"."item" is not the fence',
    ],
    [
      'whose trigger calls another function',
      `CREATE FUNCTION ibex.other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       ${REPLACE} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.item FOR EACH STATEMENT EXECUTE PROCEDURE ibex.other()`,
      'the trigger ibex_fence of "public"."item" is not the fence',
    ],
  ])('%s, by the catalog, and mended', async (_, alter, hole) => {
    await source.query(alter);
    await expect(proveRefusal(context, own)).rejects.toThrow(hole);
    expect(await evidence()).toMatchObject({ passed: false });
    await mend();
  });

  it('whose function lets one role pass, by the write of that role', async () => {
    const { rows } = await source.query(`SELECT prosrc FROM pg_proc WHERE oid = 'ibex.fence'::regproc`);
    const body = (rows[0] as { prosrc: string }).prosrc.replace(
      'BEGIN',
      `BEGIN IF current_user = 'heir' THEN RETURN NULL; END IF;`,
    );
    await source.query(`CREATE OR REPLACE FUNCTION ibex.fence() RETURNS trigger LANGUAGE plpgsql AS $f$${body}$f$`);
    await expect(proveRefusal(context, own)).rejects.toThrow(
      /^the fence has holes: "My App"."Order" takes the writes of role "heir"; mend them$/,
    );
    await own.query(fenceFunction({ kind: 'open' }));
  });

  it('past which a role writes by a setting', async () => {
    await source.query('CREATE ROLE sneaky; ALTER ROLE sneaky SET session_replication_role = replica');
    await expect(proveRefusal(context, own)).rejects.toThrow('sneaky has session_replication_role=replica by setting');
    await source.query('DROP ROLE sneaky');
  });
});
