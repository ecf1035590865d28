import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../../../assets/agent/context';
import { capture } from '../../../assets/agent/capture';
import { copySchema } from '../../../assets/agent/schema';
import { copyAll, type CopyProbes } from '../../../assets/agent/copy';
import { asNoted, BLIND_PROBES, CopyTest, type Note } from '../../helpers/copy-test';
import { until } from '../../helpers/until';

/** Two tables, of which the first is copied in many chunks and the second is to be hurt by nothing. */
const TWO = `
  CREATE TABLE large (id text PRIMARY KEY, n int, filler text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT md5(i::text), i, repeat('f', 200) FROM generate_series(1, 10000) i;
  INSERT INTO other SELECT i, 'note' FROM generate_series(1, 1000) i;
  ANALYZE;`;

let copy: CopyTest;

beforeAll(async () => {
  copy = await CopyTest.start(BLIND_PROBES);
});
afterAll(() => copy.migration.stop());

/** Waits until some chunks are there, so that what follows falls into the middle. */
async function underWay(): Promise<void> {
  while ((await copy.chunks()) < 2) await sleep(10);
}

/** A copy that takes some seconds, and what is done in its midst. */
async function disturbed(disturb: () => Promise<unknown>, probes: Partial<CopyProbes> = {}): Promise<string> {
  const running = copy.run({ maxBytesPerSecond: 700_000 }, probes).then(
    ({ message }) => message,
    (error: Error) => error.message,
  );
  await underWay();
  await disturb();
  return running;
}

describe('a table that cannot be copied is named with the way on, and the others are copied', () => {
  it('because the target holds rows that nobody copied', async () => {
    await copy.prepare(TWO);
    await copy.target.query(
      `SET session_replication_role = replica; INSERT INTO large VALUES (md5('x'), 1, 'foreign')`,
    );
    await expect(copy.run()).rejects.toThrow(
      /^"public"."large" on the target holds rows that Ibex did not copy; empty it there \(SET session_replication_role = replica; TRUNCATE\), then start copy again$/,
    );
    expect(await copy.count('other')).toBe(1000);
    expect(await copy.count('large')).toBe(1);
    await copy.target.query('TRUNCATE large');
    expect((await copy.run()).message).toMatch(/^11000 rows of 2 tables copied/);
  });

  it('because a column differs', async () => {
    await copy.prepare(TWO);
    await copy.target.query('ALTER TABLE large ALTER n TYPE bigint');
    await expect(copy.run()).rejects.toThrow(
      /^column "n" of "public"."large" is integer on the source and bigint on the target; make both alike, then start copy again/,
    );
    expect(await copy.count('other')).toBe(1000);
  });

  it('because it was dropped in the middle', async () => {
    await copy.prepare(TWO);
    expect(await disturbed(() => copy.source.query('DROP TABLE large'))).toMatch(
      /^rows of "public"."large" cannot be copied: relation "public.large" does not exist; it was dropped; .*start copy again, it resumes/,
    );
    expect(await copy.count('other')).toBe(1000);
  });

  it.each([
    ['sql', `'SELECT count(*) >= 0 FROM code'`, '"known"'],
    ['plpgsql', `'BEGIN RETURN (SELECT count(*) >= 0 FROM code); END'`, String.raw`public.known\(\)`],
  ])(
    'because its constraint calls a function in %s that has no search path of its own',
    async (language, body, name) => {
      await copy.prepare(`${TWO} CREATE TABLE code (code text PRIMARY KEY);
      CREATE FUNCTION known() RETURNS boolean LANGUAGE ${language} AS ${body}; ALTER TABLE large ADD CHECK (known())`);
      await expect(copy.run()).rejects.toThrow(
        new RegExp(
          `^rows of "public"."large" cannot be copied: relation "code" does not exist \\(.*\\); function ${name} is called for each row, .* ALTER FUNCTION .*, or name them in its body; start copy again, it resumes$`,
        ),
      );
      expect(await copy.count('other')).toBe(1000);
      for (const end of [copy.source, copy.target]) await end.query('ALTER FUNCTION known() SET search_path = public');
      await copy.run();
      expect(await copy.count('large')).toBe(10_000);
    },
  );

  it('because it was altered in the middle', async () => {
    await copy.prepare(TWO);
    expect(await disturbed(() => copy.source.query('ALTER TABLE large DROP COLUMN n'))).toMatch(
      /^rows of "public"."large" cannot be copied: column "n" .*does not exist; a column was dropped or renamed; .*; column "n" of "public"."large" is absent on the source and integer on the target/,
    );
    expect(await copy.count('other')).toBe(1000);
  });

  it('because its key got another type in the middle; it goes on when both ends are alike', async () => {
    await copy.prepare(TWO);
    const widen = () => copy.source.query('ALTER TABLE large ALTER id TYPE varchar(40)');
    expect(await disturbed(widen)).toMatch(
      /^rows of "public"."large" cannot be copied: .*column "id" of "public"."large" is character varying\(40\) on the source and text on the target: it was altered while it was copied; make both alike/,
    );
    expect(await copy.count('other')).toBe(1000);
    await copy.target.query('ALTER TABLE large ALTER id TYPE varchar(40)');
    await copy.run();
    expect(await copy.count('large')).toBe(10_000);
  });

  it('because it was rewritten in the middle, which moves rows; it begins anew, and ends right', async () => {
    await copy.prepare(TWO);
    const rewrite = async (): Promise<void> => {
      await copy.source.query('DELETE FROM large WHERE n % 2 = 0');
      await copy.source.query('VACUUM FULL large');
    };
    expect(await disturbed(rewrite)).toMatch(
      /^rows of "public"."large" cannot be copied: it was rewritten on the source .*this table begins anew; start copy again, it resumes$/,
    );
    await copy.run();
    expect(await copy.count('large')).toBe(5000);
  });

  it('because the source holds bytes that are no text', async () => {
    await copy.prepare('CREATE TABLE dummy (id int PRIMARY KEY)');
    const admin = await copy.migration.admin('source', 'postgres');
    const name = `${copy.migration.config.source.database}_ascii`;
    await admin.query(`CREATE DATABASE ${name} OWNER mover ENCODING 'SQL_ASCII' TEMPLATE template0`);
    const ascii = await copy.migration.admin('source', name);
    await ascii.query(TWO);
    await ascii.query(`SET client_encoding = 'SQL_ASCII'; UPDATE other SET note = E'caf\\xe9' WHERE id = 500`);
    const config = { source: { ...copy.migration.config.source, database: name } };
    const run = <T>(phase: string, work: (context: Context) => Promise<T>) => copy.within(phase, work, config);
    await copy.target.query(`DROP SCHEMA ibex CASCADE; DROP TABLE dummy`);
    await run('schema', copySchema).catch(() => undefined);
    await run('capture', (context) => capture.run(context));
    await expect(run('copy', (context) => copyAll(context, BLIND_PROBES))).rejects.toThrow(
      /^rows of "public"."other" cannot be copied: invalid byte sequence for encoding "UTF8": 0xe9 \(such a row has the key \(500\)\); the source holds bytes there that are no text in UTF-8, .*; correct that value at the source; start copy again/,
    );
    expect(await copy.count('large')).toBe(10_000);
    await ascii.query(`UPDATE other SET note = 'cafe' WHERE id = 500`);
    await run('copy', (context) => copyAll(context, BLIND_PROBES));
    expect(await copy.count('other')).toBe(1000);
  });
});

describe('a server that goes away in the middle', () => {
  it.each(['target', 'source'] as const)('and comes back costs the chunks in flight: %s', async (end) => {
    await copy.prepare(TWO);
    let before: Note[] = [];
    const message = await disturbed(async () => {
      before = await copy.notes('large');
      await copy.migration[end].kill();
      await copy.migration[end].start();
      await copy.reconnect();
    });
    expect(message).toMatch(/^11000 rows of 2 tables copied/);
    expect(await copy.count('large')).toBe(10_000);
    const notes = await copy.notes('large');
    expect(before.length).toBeGreaterThan(1);
    expect(notes).toEqual(expect.arrayContaining(before));
    expect(await copy.written('large')).toEqual(asNoted(notes));
  });

  it('and answers as a standby, as while its name leads to another one after a failover, is waited for', async () => {
    await copy.prepare(TWO);
    const { target, config } = copy.migration;
    const log = join(config.host.stateDirectory, 'log', 'copy.jsonl');
    const failover = async (): Promise<void> => {
      await target.demote();
      await until(() => readFileSync(log, 'utf8').includes('it is a standby now'));
      await copy.reconnect();
      await copy.target.query('SELECT pg_promote()');
    };
    expect(await disturbed(failover, { pauses: Array.from({ length: 100 }, () => 200) })).toMatch(
      /^11000 rows of 2 tables copied/,
    );
    expect(await copy.count('large')).toBe(10_000);
  });

  it('and stays away ends the phase with what to do; what is copied is kept', async () => {
    await copy.prepare(TWO);
    const message = await disturbed(() => copy.migration.target.kill());
    await copy.migration.target.start();
    await copy.reconnect();
    expect(message).toMatch(
      /^rows of "public"."\w+" cannot be copied: .*what is there is kept; bring that server back, then start copy again, it resumes$/,
    );
    const before = await copy.count('ibex.chunk');
    expect(before).toBeGreaterThan(0);
    expect((await copy.run()).message).toMatch(/^11000 rows of 2 tables copied/);
  });
});

it('a restart of the PostgreSQL of the host ends the phase with what to do; what is copied is kept', async () => {
  await copy.prepare(TWO);
  const { host } = copy.migration;
  const message = await disturbed(async () => {
    await host.kill();
    await host.start();
  });
  expect(message).toMatch(/^the host's PostgreSQL at .* ended our session: .*; see that it runs, then start again, it/);
  const before = await copy.notes('large');
  expect(before.length).toBeGreaterThan(0);
  expect((await copy.run()).message).toMatch(/^11000 rows of 2 tables copied/);
  expect(await copy.notes('large')).toEqual(expect.arrayContaining(before));
});

/** A value that is longer than 1 GB as text; as bytes it is not. */
const HUGE_BYTES = 540_000_000;

describe('a row of 540 MB', () => {
  beforeAll(async () => {
    await copy.prepare(`
      CREATE TYPE pair AS (a int, b text);
      CREATE TABLE huge (id int PRIMARY KEY, body bytea);
      CREATE TABLE textual (id int PRIMARY KEY, p pair, tags text[], body bytea);
      ALTER TABLE huge ALTER body SET STORAGE EXTERNAL;
      ALTER TABLE textual ALTER body SET STORAGE EXTERNAL;
      INSERT INTO huge SELECT 1, convert_to(repeat('x', ${HUGE_BYTES}), 'UTF8');
      INSERT INTO textual VALUES (6, ROW(1, 'a'), '{a}', 'short');
      INSERT INTO textual SELECT 7, ROW(1, 'a')::pair, '{b}', body FROM huge`);
  }, 120_000);

  it('goes through in binary, in little memory; one that has no binary form is named, and goes when it is smaller', async () => {
    let most = 0;
    const before = process.memoryUsage().rss;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 10);
    await expect(copy.run()).rejects.toThrow(
      /^rows of "public"."textual" cannot be copied: .*its longest row has the key \(7\) and 5400000\d\d bytes as stored, compressed.*; a server takes rows of up to 1 GB.*start copy again, it resumes$/,
    );
    clearInterval(watch);
    const { rows } = await copy.target.query(`SELECT count(*)::int AS n, sum(length(body))::int AS bytes FROM huge`);
    expect(rows).toEqual([{ n: 1, bytes: HUGE_BYTES }]);
    expect((most - before) / 1e6).toBeLessThan(60);
    await copy.source.query(`UPDATE textual SET body = 'shorter' WHERE id = 7`);
    expect((await copy.run()).message).toMatch(/^3 rows of 2 tables copied/);
  }, 120_000);
});
