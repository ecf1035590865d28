import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { AgentConfig } from '../../../assets/agent/config';
import type { Context } from '../../../assets/agent/context';
import { copyAll, type CopyProbes } from '../../../assets/agent/copy';
import { capture } from '../../../assets/agent/capture';
import { copySchema } from '../../../assets/agent/schema';
import { startMigration, type TestMigration } from '../../helpers/migration';

const PROBES: CopyProbes = {
  checkCapture: () => Promise.resolve([]),
  startBeside: () => Promise.resolve(),
  pauses: [100, 300, 1000, 2000],
};

/** Two tables, of which the first is copied in many chunks and the second is to be hurt by nothing. */
const TWO = `
  CREATE TABLE large (id text PRIMARY KEY, n int, filler text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT md5(i::text), i, repeat('f', 200) FROM generate_series(1, 10000) i;
  INSERT INTO other SELECT i, 'note' FROM generate_series(1, 1000) i;
  ANALYZE;`;

let migration: TestMigration;
let source: Client;
let target: Client;

beforeAll(async () => {
  migration = await startMigration();
});
afterAll(() => migration.stop());

async function within<T>(
  phase: string,
  work: (context: Context) => Promise<T>,
  copy: Partial<AgentConfig['copy']> = {},
): Promise<T> {
  const context = await migration.context(phase, { copy: { ...migration.config.copy, chunkMegabytes: 0.2, ...copy } });
  try {
    return await work(context);
  } finally {
    await context.close();
  }
}

const copied = (copy: Partial<AgentConfig['copy']> = {}) => within('copy', (context) => copyAll(context, PROBES), copy);

async function prepare(fill: string): Promise<void> {
  await migration.fresh();
  source = await migration.admin('source');
  target = await migration.admin('target');
  await source.query(fill);
  await within('schema', copySchema);
  await within('capture', (context) => capture.run(context));
}

const count = async (table: string): Promise<number> =>
  ((await target.query(`SELECT count(*)::int AS n FROM ${table}`)).rows[0] as { n: number }).n;

/** Waits until some chunks are there, so that what follows falls into the middle. */
async function underWay(): Promise<void> {
  for (;;) {
    const { rows } = await target.query(`SELECT to_regclass('ibex.chunk') IS NOT NULL AS there`);
    if ((rows[0] as { there: boolean }).there && (await count('ibex.chunk')) > 1) return;
    await sleep(10);
  }
}

/** A copy that takes some seconds, and what is done in its midst. */
async function disturbed(disturb: () => Promise<unknown>): Promise<string> {
  const running = copied({ maxBytesPerSecond: 700_000 }).then(
    ({ message }) => message,
    (error: Error) => error.message,
  );
  await underWay();
  await disturb();
  return running;
}

describe('a table that cannot be copied is named with the way on, and the others are copied', () => {
  it('because the target holds rows that nobody copied', async () => {
    await prepare(TWO);
    await target.query(`SET session_replication_role = replica; INSERT INTO large VALUES (md5('x'), 1, 'foreign')`);
    await expect(copied()).rejects.toThrow(
      /^"public"."large" on the target holds rows that Ibex did not copy; empty it there \(SET session_replication_role = replica; TRUNCATE\), then start copy again$/,
    );
    expect(await count('other')).toBe(1000);
    expect(await count('large')).toBe(1);
    await target.query('TRUNCATE large');
    expect((await copied()).message).toMatch(/^11000 rows of 2 tables copied/);
  });

  it('because a column differs', async () => {
    await prepare(TWO);
    await target.query('ALTER TABLE large ALTER n TYPE bigint');
    await expect(copied()).rejects.toThrow(
      /^column "n" of "public"."large" is integer on the source and bigint on the target; make both alike, then start copy again/,
    );
    expect(await count('other')).toBe(1000);
  });

  it('because it was dropped in the middle', async () => {
    await prepare(TWO);
    expect(await disturbed(() => source.query('DROP TABLE large'))).toMatch(
      /^rows of "public"."large" cannot be copied: relation "public.large" does not exist; it was dropped; .*start copy again, it resumes/,
    );
    expect(await count('other')).toBe(1000);
  });

  it('because it was altered in the middle', async () => {
    await prepare(TWO);
    expect(await disturbed(() => source.query('ALTER TABLE large DROP COLUMN n'))).toMatch(
      /^rows of "public"."large" cannot be copied: column "n" .*does not exist; a column was dropped or renamed; .*; column "n" of "public"."large" is absent on the source and integer on the target/,
    );
    expect(await count('other')).toBe(1000);
  });

  it('because it was rewritten in the middle, which moves rows; it begins anew, and ends right', async () => {
    await prepare(TWO);
    const rewrite = async (): Promise<void> => {
      await source.query('DELETE FROM large WHERE n % 2 = 0');
      await source.query('VACUUM FULL large');
    };
    expect(await disturbed(rewrite)).toMatch(
      /^rows of "public"."large" cannot be copied: it was rewritten on the source .*this table begins anew; start copy again, it resumes$/,
    );
    await copied();
    expect(await count('large')).toBe(5000);
  });

  it('because a text is not valid in the encoding of the target', async () => {
    await prepare('CREATE TABLE dummy (id int PRIMARY KEY)');
    const admin = await migration.admin('source', 'postgres');
    const name = `${migration.config.source.database}_ascii`;
    await admin.query(`CREATE DATABASE ${name} OWNER mover ENCODING 'SQL_ASCII' TEMPLATE template0`);
    const ascii = await migration.admin('source', name);
    await ascii.query(TWO);
    await ascii.query(`SET client_encoding = 'SQL_ASCII'; UPDATE other SET note = E'caf\\xe9' WHERE id = 500`);
    const config = { source: { ...migration.config.source, database: name } };
    const run = async <T>(phase: string, work: (context: Context) => Promise<T>): Promise<T> => {
      const context = await migration.context(phase, config);
      try {
        return await work(context);
      } finally {
        await context.close();
      }
    };
    await target.query(`DROP SCHEMA ibex CASCADE; DROP TABLE dummy`);
    await run('schema', copySchema).catch(() => undefined);
    await run('capture', (context) => capture.run(context));
    await expect(run('copy', (context) => copyAll(context, PROBES))).rejects.toThrow(
      /^rows of "public"."other" cannot be copied: invalid byte sequence for encoding "UTF8": 0xe9; the source holds text that is not valid in the target's encoding; correct that value there; start copy again/,
    );
    expect(await count('large')).toBe(10_000);
    await ascii.query(`UPDATE other SET note = 'cafe' WHERE id = 500`);
    await run('copy', (context) => copyAll(context, PROBES));
    expect(await count('other')).toBe(1000);
  });
});

describe('a server that goes away in the middle', () => {
  it.each(['target', 'source'] as const)('and comes back costs the chunks in flight: %s', async (end) => {
    await prepare(TWO);
    const message = await disturbed(async () => {
      await migration[end].kill();
      await migration[end].start();
      target = await migration.admin('target');
    });
    expect(message).toMatch(/^11000 rows of 2 tables copied/);
    expect(await count('large')).toBe(10_000);
  });

  it('and stays away ends the phase with what to do; what is copied is kept', async () => {
    await prepare(TWO);
    const message = await disturbed(() => migration.target.kill());
    await migration.target.start();
    target = await migration.admin('target');
    expect(message).toMatch(
      /rows of "public"."\w+" cannot be copied: .*what is there is kept; bring that server back, then start copy again, it resumes|cannot connect to target/,
    );
    const before = await count('ibex.chunk');
    expect(before).toBeGreaterThan(0);
    expect((await copied()).message).toMatch(/^11000 rows of 2 tables copied/);
  });
});

it('a row of 100 MB goes through in little memory', async () => {
  await prepare(`
    CREATE TABLE huge (id int PRIMARY KEY, body bytea);
    ALTER TABLE huge ALTER body SET STORAGE EXTERNAL;
    INSERT INTO huge SELECT i, decode(repeat('00ff5c0a', 25000000), 'hex') FROM generate_series(1, 2) i`);
  let most = 0;
  const before = process.memoryUsage().rss;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 10);
  await copied();
  clearInterval(watch);
  const { rows } = await target.query(`SELECT count(*)::int AS n, sum(length(body))::int AS bytes FROM huge`);
  expect(rows).toEqual([{ n: 2, bytes: 200_000_000 }]);
  expect((most - before) / 1e6).toBeLessThan(60);
});
