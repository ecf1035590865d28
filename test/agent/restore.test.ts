import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Client } from 'pg';
import { UNBRAKED } from '../../assets/agent/brake/paced';
import { buildConstraints, missingConstraints } from '../../assets/agent/constraints';
import type { Context } from '../../assets/agent/context';
import { dump, dumpRows, type DumpProbes } from '../../assets/agent/dump';
import { rowArchive } from '../../assets/agent/dump/partial';
import { compareCatalogs } from '../../assets/agent/verify/compare-catalogs';
import { restoreRows } from '../../assets/agent/restore';
import { copySchema } from '../../assets/agent/schema';
import { startMigration, type TestMigration } from '../helpers/migration';
import { LATE_QUERIES, RICH_ROWS, RICH_SCHEMA } from '../helpers/rich-schema';

const CAPTURED: DumpProbes = { checkCapture: async () => [], freeBytes: async () => 1e12 };
const TABLES = [
  `"my App"."Order"`,
  `"my App".line`,
  'sales.booking',
  'sales.event_1',
  'sales.event_2',
  'public.plain',
] as const;

let migration: TestMigration;
let source: Client;
let target: Client;
beforeAll(async () => {
  migration = await startMigration();
  source = await migration.admin('source');
  target = await migration.admin('target');
  await source.query(RICH_SCHEMA);
  await source.query(RICH_ROWS);
  await source.query(`
    CREATE SCHEMA bucardo; CREATE FUNCTION bucardo.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER "the application's by its name" AFTER INSERT ON sales.event_2 FOR EACH ROW EXECUTE PROCEDURE bucardo.note()`);
  await within('schema', copySchema);
});
afterAll(() => migration.stop());

async function within<T>(phase: string, work: (context: Context) => Promise<T>): Promise<T> {
  const context = await migration.context(phase);
  try {
    return await work(context);
  } finally {
    await context.close();
  }
}

/** A context whose sessions on the target fail at the nth statement that begins so, as if the program were killed. */
async function dyingAt(start: string, nth: number): Promise<Context> {
  const context = await migration.context('restore');
  const connect = context.connect.bind(context);
  let seen = 0;
  context.connect = async (end, purpose) => {
    const client = await connect(end, purpose);
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      if (end === 'target' && String(args[0]).trim().startsWith(start) && (seen += 1) >= nth) throw new Error('killed');
      return query(...args);
    }) as typeof client.query;
    return client;
  };
  return context;
}

const copied = async (): Promise<number> => {
  const { rows } = await target.query('SELECT count(copied_at)::int AS n FROM ibex.relation');
  return (rows[0] as { n: number }).n;
};

/** Every row of a table as text. Floats go by their bytes, since servers before 12 write them otherwise. */
const contents = async (client: Client, table: string): Promise<string[]> => {
  await client.query(`SET TimeZone = 'UTC'; SET bytea_output = 'hex'`);
  const whole = `ROW(id, "select", mood, share, tags, data, raw, price, float8send(f), touched, code, mail, mails)::text`;
  const row = table === TABLES[0] ? whole : 't::text';
  const { rows } = await client.query(`SELECT ${row} AS row FROM ONLY ${table} t ORDER BY t::text COLLATE "C"`);
  return (rows as { row: string }[]).map((row) => row.row).sort();
};

describe('dump', () => {
  it('refuses to begin while a change could pass unseen, and names the table', async () => {
    const checkCapture = async (): Promise<string[]> => ['"my App"."Order" has no trigger "bucardo_delta"'];
    await expect(within('dump', (context) => dumpRows(context, { ...CAPTURED, checkCapture }))).rejects.toThrow(
      'changes are not captured before the dump: "my App"."Order" has no trigger',
    );
  });

  it('refuses without the triggers that capture makes', async () => {
    await expect(within('dump', (context) => dumpRows(context))).rejects.toThrow(/"sales"."booking" has no trigger/);
  });

  it('refuses when the volume is too small, with both figures', async () => {
    const freeBytes = async (): Promise<number> => 1000;
    await expect(within('dump', (context) => dumpRows(context, { ...CAPTURED, freeBytes }))).rejects.toThrow(
      /needs about \d+ bytes \([\d.]+ MB\) in .*, and 1000 bytes \(1000 bytes\) are free; enlarge/,
    );
  });

  it('fails when a trigger was dropped while it ran, and keeps nothing of it', async () => {
    let asked = 0;
    const checkCapture = async (): Promise<string[]> => ((asked += 1) > 1 ? ['"sales"."booking" has no trigger'] : []);
    await expect(within('dump', (context) => dumpRows(context, { ...CAPTURED, checkCapture }))).rejects.toThrow(
      /not captured after the dump; .*: "sales"."booking" has no trigger/,
    );
    expect(existsSync(rowArchive(migration.config.host.stateDirectory))).toBe(false);
  });

  it('begins anew over what a killed dump left, and keeps one that is complete', async () => {
    const { stateDirectory } = migration.config.host;
    mkdirSync(join(stateDirectory, 'dump.partial.1'));
    writeFileSync(join(stateDirectory, 'dump.partial.1', 'toc.dat'), 'half');
    const first = await within('dump', (context) => dumpRows(context, CAPTURED));
    expect(first.message).toMatch(/^6 tables dumped, \d/);
    expect(readdirSync(stateDirectory).filter((name) => name.startsWith('dump'))).toEqual(['dump']);
    const second = await within('dump', (context) => dumpRows(context, CAPTURED));
    expect(second).toEqual(first);
  });
});

/** The same length, but nonsense, more than fits between two programs, and at the end a sum that is not right. */
function withNonsense(bytes: Buffer): Buffer {
  const packed = gzipSync('x\n'.repeat(1_000_000), { level: 9 });
  expect(packed.length).toBeLessThanOrEqual(bytes.length);
  return Buffer.concat([packed.fill(0, packed.length - 8), Buffer.alloc(bytes.length - packed.length)]);
}

describe('restore', () => {
  const directory = (): string => rowArchive(migration.config.host.stateDirectory);
  const largestFile = (): string =>
    readdirSync(directory())
      .filter((name) => name.endsWith('.gz'))
      .map((name) => join(directory(), name))
      .sort((a, b) => statSync(b).size - statSync(a).size)[0] as string;
  const damage = (change: (bytes: Buffer) => Buffer): void => {
    const file = largestFile();
    writeFileSync(file, change(readFileSync(file)));
  };
  const isWhole = (): Promise<boolean> | undefined => dump.holds?.(holding);
  let holding: Context;
  beforeAll(async () => {
    holding = await migration.context('dump');
  });

  it('begins no table once capture was taken off', async () => {
    const off = (): void => {
      throw new Error('capture was taken off');
    };
    const restoring = within('restore', (context) => {
      context.brake = { ...UNBRAKED, throwIfOff: off };
      return restoreRows(context);
    });
    await expect(restoring).rejects.toThrow('capture was taken off');
    expect(await copied()).toBe(0);
  });

  it('names a file of the dump that is cut off, and dump takes it anew', async () => {
    expect(await isWhole()).toBe(true);
    damage((bytes) => bytes.subarray(0, bytes.length / 2));
    await expect(within('restore', restoreRows)).rejects.toThrow(
      /^the dump .* is damaged: its file \d+\.dat\.gz has \d+ bytes instead of \d+; start dump again, which takes it anew, then restore; what is restored is kept$/,
    );
    expect(await isWhole()).toBe(false);
    await within('dump', (context) => dumpRows(context, CAPTURED));
    expect(await isWhole()).toBe(true);
  });

  it.each([
    ['breaks off', (bytes: Buffer) => bytes.fill(0xff, Math.floor(bytes.length / 2))],
    ['holds a value that the target refuses, before it breaks off', withNonsense],
  ])('keeps nothing of a table whose dump %s, names it, and brings the others', async (_, spoil) => {
    damage(spoil);
    await expect(within('restore', restoreRows)).rejects.toThrow(
      /^rows of "my App"."Order" cannot be copied: the dump is damaged: .*; start dump again, which takes it anew, then restore; what is restored is kept$/,
    );
    expect(await contents(target, TABLES[0])).toEqual([]);
    expect(await copied()).toBe(TABLES.length - 1);
    expect(await isWhole()).toBe(false);
    await target.query('UPDATE ibex.relation SET copied_at = NULL, copied_rows = NULL');
    await target.query(
      `SET session_replication_role = replica; TRUNCATE ${TABLES.join(', ')}; RESET session_replication_role`,
    );
    await holding.state.count('rows.copy', -((await holding.state.counters())['rows.copy'] ?? 0));
    await within('dump', (context) => dumpRows(context, CAPTURED));
  });

  it('resumes after a kill, whole table by whole table', async () => {
    const dying = await dyingAt('UPDATE ibex.relation SET copied_at', 3);
    await expect(restoreRows(dying)).rejects.toThrow('killed');
    await dying.close();
    const before = await copied();
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(TABLES.length);

    const dyingLater = await dyingAt('INSERT INTO ibex.restored', 2);
    await expect(restoreRows(dyingLater)).rejects.toThrow('killed');
    await dyingLater.close();
    expect(await copied()).toBe(TABLES.length);

    const { result, message } = await within('restore', restoreRows);
    expect(message).toMatch(/^4209 rows of 6 tables restored, \d+ indexes built$/);
    expect(result).toMatchObject({ rows: 4209, rowsThisTime: 0 });
  });

  it.each(TABLES)('brings every value of %s over', async (table) => {
    const expected = await contents(source, table);
    expect(expected.length).toBeGreaterThan(0);
    expect(await contents(target, table)).toEqual(expected);
  });

  it('counts the rows that it copied, once', async () => {
    const context = await migration.context('restore');
    expect(await context.state.counters()).toEqual({ 'rows.copy': 4209 });
  });

  it('builds keys and plain indexes, and no other unique index or constraint', async () => {
    const { rows } = await target.query(
      `SELECT indexname FROM pg_indexes WHERE schemaname IN ('my App', 'sales', 'public') ORDER BY 1`,
    );
    const names = (rows as { indexname: string }[]).map((row) => row.indexname);
    expect(names).toEqual(
      expect.arrayContaining(['Order_pkey', 'line_pkey', 'event_1_pkey', 'plain_pkey', 'booking_name', 'Order by tag']),
    );
    expect(names).not.toEqual(expect.arrayContaining(['Order lower']));
    expect(names).not.toEqual(expect.arrayContaining(['Order_code_key']));
  });

  it('leaves statistics for the planner', async () => {
    const { rows } = await target.query(`SELECT reltuples FROM pg_class WHERE relname = 'Order'`);
    expect(rows).toEqual([{ reltuples: 3004 }]);
  });
});

describe('constraints', () => {
  it('stops by name at rows that break one, and makes it once they are right', async () => {
    await target.query(`SET session_replication_role = replica; UPDATE "my App"."Order" SET code = 'c' WHERE id = 1`);
    const failing = within('sync', async (context) => buildConstraints(context, await context.connect('target')));
    await expect(failing).rejects.toThrow(/CONSTRAINT my App Order Order_code_key .*\(code\)=\(c\)/);
    await target.query(`UPDATE "my App"."Order" SET code = NULL WHERE id = 1; RESET session_replication_role`);
  });

  it('resumes after a kill between two objects, and makes each once', async () => {
    const dying = await dyingAt('INSERT INTO ibex.restored', 4);
    await expect(buildConstraints(dying, await dying.connect('target'))).rejects.toThrow('killed');
    await dying.close();
    const missing = await within('sync', async (context) =>
      missingConstraints(context, await context.connect('target')),
    );
    expect(missing).toBeGreaterThan(0);

    const { built } = await within('sync', async (context) =>
      buildConstraints(context, await context.connect('target')),
    );
    expect(built).toBeGreaterThanOrEqual(missing);
    const again = await within('sync', async (context) => {
      const client = await context.connect('target');
      return { ...(await buildConstraints(context, client)), missing: await missingConstraints(context, client) };
    });
    expect(again).toEqual({ built: 0, left: 0, missing: 0 });
  });

  it.each(Object.entries(LATE_QUERIES))('%s are on the target as on the source', async (_what, query) => {
    const expected = (await source.query(query)).rows;
    expect(expected.length).toBeGreaterThan(0);
    expect((await target.query(query)).rows).toEqual(expected);
  });

  it('leaves triggers of capture behind, whatever their name', async () => {
    const { rows } = await target.query(
      `SELECT tgname FROM pg_trigger WHERE tgrelid = 'sales.event_2'::regclass AND tgname NOT LIKE 'ibex%'`,
    );
    expect(rows).toEqual([]);
  });

  it('leaves no index invalid, those of partitioned tables included', async () => {
    const { rows } = await target.query(
      `SELECT count(*)::int AS indexes, count(*) FILTER (WHERE NOT indisvalid)::int AS invalid FROM pg_index
       WHERE indrelid IN ('sales.event'::regclass, 'sales.event_1'::regclass, '"my App"."Order"'::regclass)`,
    );
    expect(rows).toEqual([{ indexes: 9, invalid: 0 }]);
  });

  it('fills materialized views, those that others rest on first', async () => {
    const { rows } = await target.query('SELECT n FROM sales.base');
    expect(rows).toEqual([{ n: '3004' }]);
  });

  it('leave catalogs that verify finds equal, with a login that is no superuser', async () => {
    const found = await within('verify', async (context) =>
      compareCatalogs(await context.connect('source'), await context.connect('target'), context.config),
    );
    expect(found.failures).toEqual([]);
    expect(found.warnings.filter((text) => text.includes(' differs: '))).toEqual([]);
    expect(found.objects).toMatchObject({ view: 2, 'materialized view': 2, statistics: 1, rule: 1, policy: 1 });
  });

  it('keeps an unvalidated check unvalidated', async () => {
    const { rows } = await target.query(`SELECT convalidated FROM pg_constraint WHERE conname = 'long note'`);
    expect(rows).toEqual([{ convalidated: false }]);
  });
});
