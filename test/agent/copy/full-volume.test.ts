import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CopyTest } from '../../helpers/copy-test';

const ROWS = 10_000;

const FILL = `
  CREATE TABLE large (id text PRIMARY KEY, n int, filler text);
  CREATE TABLE other (id int PRIMARY KEY, note text);
  INSERT INTO large SELECT md5(i::text), i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i;
  INSERT INTO other SELECT i, 'note' FROM generate_series(1, 1000) i;
  ANALYZE`;

/** What the target says is there of the large table; each chunk with the time at which it came. */
const CHUNKS = `SELECT number, copied_at::text FROM ibex.chunk WHERE relation_name = 'large' ORDER BY number`;

let copy: CopyTest;
let volume: string;

beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare(FILL);
  // Small volumes are mounted by root only, as are the directories of a server that runs as somebody else.
  volume = mkdtempSync(join(tmpdir(), 'ibex-volume-'));
  const { uid, gid } = statSync(copy.migration.target.dataDirectory);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=1500k,uid=${uid},gid=${gid},mode=700`, 'tmpfs', volume]);
  chmodSync(volume, 0o700);
});

afterAll(async () => {
  await copy?.migration.stop();
  if (volume) {
    execFileSync('umount', ['--lazy', volume]);
    rmSync(volume, { recursive: true });
  }
});

it('a volume of the target that fills up is named with the table; the rest is copied, and with more room it goes on', async () => {
  await copy.target.query(`CREATE TABLESPACE small LOCATION '${volume}'`);
  await copy.target.query('ALTER TABLE large SET TABLESPACE small');

  await expect(copy.run()).rejects.toThrow(
    /^rows of "public"."large" cannot be copied: .*No space left on device \(COPY large, line \d+.*\); a volume of the target is full; what is there is kept; enlarge it; start copy again, it resumes$/,
  );
  const before = (await copy.target.query(CHUNKS)).rows;
  expect(before.length).toBeGreaterThan(0);
  expect(await copy.count('large')).toBeGreaterThan(0);
  expect(await copy.count('large')).toBeLessThan(ROWS);
  expect(await copy.count('other')).toBe(1000);

  execFileSync('mount', ['-o', 'remount,size=64m', volume]);
  expect((await copy.run()).message).toMatch(/^11000 rows of 2 tables copied/);
  expect((await copy.target.query(CHUNKS)).rows).toEqual(expect.arrayContaining(before));
  expect(await copy.count('large')).toBe(ROWS);
  expect(
    await copy.one('target', `SELECT count(*)::int AS n FROM pg_index WHERE indrelid = 'large'::regclass`),
  ).toEqual({
    n: 1,
  });
});
