import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from '../../../assets/agent/capture';
import { dumpRows } from '../../../assets/agent/dump';
import type { PhaseOutcome } from '../../../assets/agent/phase';
import { restoreRows } from '../../../assets/agent/restore';
import { copySchema, schema } from '../../../assets/agent/schema';
import { CopyTest } from '../../helpers/copy-test';

const FILL = `
  CREATE TABLE large (id int PRIMARY KEY, note text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT i, 'note' FROM generate_series(1, 3000) i;
  INSERT INTO other SELECT i, 'note' FROM generate_series(1, 300) i;
  ANALYZE;`;

const THIRD = `CREATE TABLE third (id int PRIMARY KEY, note text); INSERT INTO third VALUES (1, 'new'), (2, 'new')`;

let copy: CopyTest;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(() => copy.prepare(FILL));

const define = (): Promise<PhaseOutcome> => copy.within('schema', copySchema);
const recapture = (): Promise<PhaseOutcome> => copy.within('capture', (context) => capture.run(context));
const dump = (): Promise<PhaseOutcome> =>
  copy.within('dump', async (context) => {
    await context.state.phaseStarted('dump');
    return dumpRows(context);
  });
const restore = (): Promise<PhaseOutcome> => copy.within('restore', restoreRows);
const removeDump = (): void =>
  rmSync(join(copy.migration.config.host.stateDirectory, 'dump'), { recursive: true, force: true });

/** Whether `migrate` would find that `schema` has nothing left to do. */
const isDefined = (): Promise<boolean | undefined> => copy.within('schema', async (context) => schema.holds?.(context));

/** Primary keys that the target has. */
const keys = async (): Promise<string[]> => {
  const { rows } = await copy.target.query(
    `SELECT conname FROM pg_constraint WHERE contype = 'p' AND connamespace = 'public'::regnamespace ORDER BY 1`,
  );
  return (rows as { conname: string }[]).map(({ conname }) => conname);
};

describe('a table that is made', () => {
  it('after schema is named by restore, which brings all others; schema then makes it, and restore brings it', async () => {
    await copy.source.query(THIRD);
    await recapture();
    await dump();
    await expect(restore()).rejects.toThrow(
      /^"public"."third" is missing on the target; start schema, then restore again; what is restored is kept$/,
    );
    expect([await copy.count('large'), await copy.count('other')]).toEqual([3000, 300]);
    expect(await isDefined()).toBe(false);
    await define();
    expect(await isDefined()).toBe(true);
    expect((await restore()).result).toMatchObject({ rows: 3302, rowsThisTime: 2 });
    expect(await keys()).toEqual(['large_pkey', 'other_pkey', 'third_pkey']);
  });

  it('after the dump is named with a way on that leads to its rows', async () => {
    await dump();
    await copy.source.query(THIRD);
    await expect(restore()).rejects.toThrow(
      /^"public"."third" is not in the dump \S+: .*; remove that directory, start schema, capture, dump and restore again; what is restored is kept$/,
    );
    expect([await copy.count('large'), await copy.count('other')]).toEqual([3000, 300]);
    removeDump();
    await define();
    await recapture();
    await copy.source.query(`INSERT INTO third VALUES (3, 'newer')`);
    expect((await dump()).message).toMatch(/^1 tables dumped/);
    expect((await restore()).result).toMatchObject({ rowsThisTime: 3 });
    expect(await copy.count('third')).toBe(3);
  });

  it('is left to add once all rows were brought', async () => {
    await dump();
    await restore();
    await copy.within('restore', async (context) => {
      await context.state.phaseStarted('restore');
      await context.state.phaseEnded('restore', 'succeeded', '');
    });
    await copy.source.query(THIRD);
    expect(await isDefined()).toBe(true);
  });
});

it('what is made since is made on the target although the host has lost the archive of the definitions', async () => {
  await copy.prepare(
    `${FILL} CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); COMMENT ON TABLE other IS 'old'`,
  );
  await copy.source.query(`
    CREATE TYPE mood AS ENUM ('well');
    CREATE TABLE third (id serial PRIMARY KEY, felt mood DEFAULT 'well');
    COMMENT ON TABLE third IS 'late'; GRANT SELECT ON third TO PUBLIC; INSERT INTO third DEFAULT VALUES;
    CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10); INSERT INTO parted VALUES (1)`);
  rmSync(join(copy.migration.config.host.stateDirectory, 'schema.dump'));
  await define();
  const made = `
    SELECT obj_description('third'::regclass) AS comment, has_table_privilege('public', 'third', 'SELECT') AS granted,
      pg_get_serial_sequence('third', 'id') AS sequence,
      (SELECT count(*)::int FROM pg_attrdef WHERE adrelid = 'third'::regclass) AS defaults,
      (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = 'part'::regclass) AS parent`;
  expect(await copy.one('target', made)).toEqual({
    comment: 'late',
    granted: true,
    sequence: 'public.third_id_seq',
    defaults: 2,
    parent: 'parted',
  });
  expect(await copy.one('target', made)).toEqual(await copy.one('source', made));
  await recapture();
  await dump();
  expect((await restore()).result).toMatchObject({ rows: 3302 });
  await define();
});

describe('a table that is renamed', () => {
  const rename = async (): Promise<void> => {
    await copy.source.query('ALTER TABLE other RENAME TO renamed');
    await expect(recapture()).rejects.toThrow(/rename it there and empty it, then start capture again$/);
    await expect(define()).rejects.toThrow(
      /^"public"."renamed" is missing on the target; what was renamed on the source is to be renamed there too, and emptied; then start schema again; see the log$/,
    );
    await copy.target.query(
      'SET session_replication_role = replica; ALTER TABLE other RENAME TO renamed; TRUNCATE renamed',
    );
    await define();
    await recapture();
  };

  it('before the dump is restored once it is renamed on the target', async () => {
    await copy.within('dump', (context) => context.state.phaseStarted('dump'));
    await rename();
    await dump();
    expect((await restore()).result).toMatchObject({ rowsThisTime: 3300 });
    expect(await copy.count('renamed')).toBe(300);
  });

  it('after the dump is not restored from it: what was changed since stood in the queue of its old name', async () => {
    await dump();
    await copy.source.query(`UPDATE other SET note = 'changed' WHERE id = 7`);
    await rename();
    await expect(restore()).rejects.toThrow(/^"public"."renamed" is not in the dump /);
    removeDump();
    await dump();
    await restore();
    await copy.catchUp();
    expect(await copy.one('target', 'SELECT note FROM renamed WHERE id = 7')).toEqual({ note: 'changed' });
  });
});
