import { execFileSync } from 'node:child_process';
import { chmodSync, statSync } from 'node:fs';
import { CopyTest } from '../../helpers/copy-test';
import { mountVolume, removeVolume, ROWS, TWO_TABLES } from '../../helpers/small-volume';

/** What the target says is there of the large table; each chunk with the time at which it came. */
const CHUNKS = `SELECT number, copied_at::text FROM ibex.chunk WHERE relation_name = 'large' ORDER BY number`;

let copy: CopyTest;
let volume: string;

beforeAll(async () => {
  copy = await CopyTest.start();
  await copy.prepare(TWO_TABLES);
  // Small volumes are mounted by root only, as are the directories of a server that runs as somebody else.
  const { uid, gid } = statSync(copy.migration.target.dataDirectory);
  volume = mountVolume(`size=1500k,uid=${uid},gid=${gid},mode=700`);
  chmodSync(volume, 0o700);
});

afterAll(async () => {
  await copy?.migration.stop();
  if (volume) removeVolume(volume);
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
