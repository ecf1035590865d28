import { writeFileSync } from 'node:fs';
import type { Client } from 'pg';
import type { Context } from '../../../assets/agent/context';
import { forwardSequences } from '../../../assets/agent/cutover/sequences';
import { wayBackGate, type NoGo } from '../../../assets/agent/cutover/way-back';
import { PASSWORD, startMigration, type TestMigration } from '../../helpers/migration';

const TABLES = `CREATE SCHEMA "My App";
  CREATE TABLE "My App"."Order" (id serial PRIMARY KEY); CREATE TABLE public.plain (id int PRIMARY KEY)`;

let migration: TestMigration;
let owner: Client;
let target: Client;

/** Both ends on the newer server: on older ones no login is narrow that may act as a replica. */
async function contextOf(wayBackWithout: readonly string[] = []): Promise<Context> {
  return migration.context('cutover', {
    source: { ...migration.config.target, database: 'old', secret: 'narrow' },
    cutover: { ...migration.config.cutover, wayBackWithout },
  });
}

const ask = async (wayBackWithout: readonly string[] = []) => {
  const context = await contextOf(wayBackWithout);
  const { block, result } = await wayBackGate(context, { source: await context.connect('source'), target }, false);
  return { block, whys: (result as { noGoes: NoGo[] }).noGoes.map(({ why }) => why) };
};

beforeAll(async () => {
  migration = await startMigration();
  const superuser = await migration.admin('target', 'postgres');
  await superuser.query('CREATE DATABASE old');
  await superuser.query(`CREATE ROLE narrow LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
  await superuser.query('GRANT SET ON PARAMETER session_replication_role TO narrow');
  writeFileSync(`${migration.secrets}/narrow`, JSON.stringify({ username: 'narrow', password: PASSWORD }), {
    mode: 0o600,
  });
  owner = await migration.admin('target', 'old');
  await owner.query(TABLES);
  await owner.query(`GRANT USAGE ON SCHEMA "My App" TO narrow; GRANT SELECT, TRIGGER, TRUNCATE ON ALL TABLES IN SCHEMA "My App", public TO narrow;
    GRANT SELECT ON SEQUENCE "My App"."Order_id_seq" TO narrow`);
  target = await migration.admin('target');
  await target.query(TABLES);
});
afterAll(() => migration.stop());

describe('a source login that could not take the rollback', () => {
  it('is named before the cutover, each missing right with the statement that gives it', async () => {
    const { block, whys } = await ask();
    expect(whys).toEqual([
      'source login "narrow" lacks INSERT on "My App"."Order": GRANT INSERT ON TABLE "My App"."Order" TO "narrow"',
      'source login "narrow" lacks DELETE on "My App"."Order": GRANT DELETE ON TABLE "My App"."Order" TO "narrow"',
      'source login "narrow" lacks UPDATE on "My App"."Order_id_seq": GRANT UPDATE ON SEQUENCE "My App"."Order_id_seq" TO "narrow"',
      'source login "narrow" lacks INSERT on "public"."plain": GRANT INSERT ON TABLE "public"."plain" TO "narrow"',
      'source login "narrow" lacks DELETE on "public"."plain": GRANT DELETE ON TABLE "public"."plain" TO "narrow"',
    ]);
    expect(block).toContain(whys[0]);
  });

  it('is taken when what lacks them is acknowledged, and a sequence that is stays as it is in a rollback', async () => {
    const acknowledged = ['"My App"."Order"', '"My App"."Order_id_seq"', '"public"."plain"'];
    expect((await ask(acknowledged)).block).toBeUndefined();
    expect((await ask(acknowledged.slice(0, 2))).block).toContain('lacks INSERT on "public"."plain"');
    const context = (await contextOf(acknowledged)).turned();
    const source = await (await contextOf()).connect('source');
    expect(await forwardSequences(target, source, context.config)).toBe(0);
  });

  it('is asked about the use of its schemas, and of a sequence that it has not at all', async () => {
    await owner.query('REVOKE USAGE ON SCHEMA "My App" FROM narrow');
    await target.query('CREATE SEQUENCE public.late');
    const { whys } = await ask();
    expect(whys).toContain(
      'source login "narrow" lacks USAGE of the schema of "My App"."Order": GRANT USAGE ON SCHEMA "My App" TO "narrow"',
    );
    expect(whys).toContain('sequence "public"."late" is missing on the source');
    await target.query('DROP SEQUENCE public.late');
    await owner.query('GRANT USAGE ON SCHEMA "My App" TO narrow');
  });

  it('needs no more than the statements that were named', async () => {
    const { whys } = await ask();
    for (const why of whys) await owner.query(why.slice(why.indexOf('GRANT')));
    expect(await ask()).toEqual({ block: undefined, whys: [] });
    const context = await contextOf();
    const source = await context.connect('source');
    await source.query(`SET session_replication_role = 'replica'; INSERT INTO "My App"."Order" VALUES (1);
      DELETE FROM ONLY "My App"."Order"; INSERT INTO public.plain VALUES (1); DELETE FROM ONLY public.plain`);
    expect(await forwardSequences(target, source, context.turned().config)).toBe(1);
  });
});
