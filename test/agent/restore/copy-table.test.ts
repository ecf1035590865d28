import { randomUUID } from 'node:crypto';
import { capture } from '../../../assets/agent/capture';
import { readRelations } from '../../../assets/agent/catalog/relations';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { beginPlans, prepareTargetPlan } from '../../../assets/agent/copy/target-plan';
import { dumpRows } from '../../../assets/agent/dump';
import { Lease } from '../../../assets/agent/lease';
import { restoreRows } from '../../../assets/agent/restore';
import { copySchema } from '../../../assets/agent/schema';
import { CopyTest } from '../../helpers/copy-test';
import { latin1Target, NOT_LATIN1 } from '../../helpers/latin1';

/** Restored in this order. */
const THREE = `
  CREATE TABLE large (id int PRIMARY KEY, note text);
  CREATE TABLE middle (id int PRIMARY KEY, note text);
  CREATE TABLE small (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT i, 'note' FROM generate_series(1, 3000) i;
  INSERT INTO middle SELECT i, 'note' FROM generate_series(1, 1000) i;
  INSERT INTO small SELECT i, 'note' FROM generate_series(1, 300) i;
  ANALYZE;`;

const ONE_SESSION: Partial<AgentConfig> = { restore: { jobs: 1 } };

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(async () => {
  await copy.prepare(THREE);
  await copy.within('dump', (context) => dumpRows(context));
  await copy.target.query('SET session_replication_role = replica');
});

const restore = (overrides: Partial<AgentConfig> = {}) =>
  copy.within('restore', restoreRows, { ...ONE_SESSION, ...overrides });

const counts = async (): Promise<number[]> => [
  await copy.count('large'),
  await copy.count('middle'),
  await copy.count('small'),
];

it('refuses a table that holds rows of somebody else, does not touch it, and restores the others', async () => {
  await copy.target.query(`INSERT INTO large VALUES (-1, 'foreign')`);
  await expect(restore()).rejects.toThrow(
    /^rows of "public"."large" cannot be copied: on the target it holds rows that Ibex did not copy; empty it there \(SET session_replication_role = replica; TRUNCATE\); start restore again, it resumes$/,
  );
  expect(await counts()).toEqual([1, 1000, 300]);
  await copy.target.query('TRUNCATE large');
  expect((await restore()).result).toMatchObject({ rows: 4300, rowsThisTime: 3000 });
});

it('takes the place of rows that another way of copying has begun to bring', async () => {
  await copy.within('copy', async (context) => {
    const target = await context.connect('target');
    await prepareTargetPlan(target);
    const relations = await readRelations(await context.connect('source'), context.config);
    await beginPlans(
      target,
      relations.map((relation) => ({ relation, plan: randomUUID() })),
    );
  });
  await copy.target.query(`INSERT INTO large VALUES (-1, 'half a copy')`);
  await restore();
  expect(await counts()).toEqual([3000, 1000, 300]);
});

it('names every table whose rows the target refuses, and restores the others', async () => {
  await copy.target.query('ALTER TABLE large ADD CHECK (id <> 500); ALTER TABLE middle ALTER note TYPE varchar(3)');
  await expect(restore()).rejects.toThrow(
    /^rows of "public"."large" cannot be copied: .*"large_id_check" \(COPY large, line 500: .*\); if the value is at fault, correct it at the source and remove \S+, start dump, .*; else start restore again, it resumes; rows of "public"."middle" cannot be copied: value too long .*it resumes$/,
  );
  expect(await counts()).toEqual([0, 0, 300]);
  await copy.target.query('ALTER TABLE large DROP CONSTRAINT large_id_check; ALTER TABLE middle ALTER note TYPE text');
  await restore();
  expect(await counts()).toEqual([3000, 1000, 300]);
});

it('names the function of a constraint that finds nothing without a search path, and restores the others', async () => {
  await copy.target.query(`CREATE FUNCTION known() RETURNS boolean LANGUAGE sql AS 'SELECT count(*) >= 0 FROM small';
    ALTER TABLE middle ADD CHECK (known())`);
  await expect(restore()).rejects.toThrow(
    /^rows of "public"."middle" cannot be copied: relation "small" does not exist; function "known" is called for each row, .*; start restore again, it resumes$/,
  );
  expect(await counts()).toEqual([3000, 0, 300]);
  await copy.target.query('ALTER FUNCTION known() SET search_path = public');
  await restore();
  expect(await counts()).toEqual([3000, 1000, 300]);
});

it('begins no further table once another run has taken over', async () => {
  const takenOver = copy.within(
    'restore',
    async (context: Context) => {
      const other = await context.connect('target');
      const take = Lease.take.bind(Lease);
      const taking = jest.spyOn(Lease, 'take').mockImplementationOnce(async (...args) => {
        const lease = await take(...args);
        await take(other, 'copy');
        return lease;
      });
      await restoreRows(context).finally(() => taking.mockRestore());
    },
    ONE_SESSION,
  );
  await expect(takenOver).rejects.toThrow(
    /^"public"."large" on the target belongs to copy .*another run has taken over/,
  );
  expect(await counts()).toEqual([0, 0, 0]);
});

it('names the text that the encoding of the target does not know, and asks for another dump', async () => {
  await copy.migration.fresh();
  await copy.reconnect();
  await copy.source.query(THREE);
  await copy.source.query(`UPDATE large SET note = '${NOT_LATIN1}' WHERE id = 3`);
  const latin1 = await latin1Target(copy.migration);
  await copy.within('schema', copySchema, latin1);
  await copy.within('capture', (context) => capture.run(context), latin1);
  await copy.within('dump', (context) => dumpRows(context), latin1);
  await expect(restore(latin1)).rejects.toThrow(
    /^rows of "public"."large" cannot be copied: character with byte sequence .* has no equivalent in encoding "LATIN1" \(COPY large, line \d+.*\); the source holds text that the target's encoding does not know; correct that value there, remove \S+dump, start dump, then restore; what is restored is kept$/,
  );
  expect(await copy.within('restore', async (context) => (await context.state.counters())['rows.copy'])).toBe(1300);
});
