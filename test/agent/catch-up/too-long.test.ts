import { startMoving, WAYS, type Moving } from './moving';

/** As hexadecimal digits twice as long, and a server holds no value of 1 GB. */
const HUGE_BYTES = 540_000_000;

let moving: Moving;
beforeAll(async () => {
  moving = await startMoving(
    `CREATE TABLE public.huge (id int PRIMARY KEY, body bytea); ALTER TABLE public.huge ALTER body SET STORAGE EXTERNAL`,
    `INSERT INTO huge VALUES (1, 'short'), (7, 'short')`,
  );
  await moving.source.query(`
    UPDATE huge SET body = convert_to(repeat('x', ${HUGE_BYTES}), 'UTF8') WHERE id = 7;
    UPDATE huge SET body = 'a little longer' WHERE id = 1`);
}, 120_000);
afterAll(() => moving.migration.stop());

const refusal =
  /^"public"\."huge" cannot be applied: .* \(its longest row has the key \(7\) and 5400000\d\d bytes\); a server takes rows of up to 1 GB, .* make it smaller, or keep that value in parts; nothing was forgotten; start again$/;

describe('a changed row of 540 MB', () => {
  it.each(WAYS)(
    'is named with its key when its table is applied %s, and nothing is forgotten',
    async (_, way) => {
      await expect(moving.apply('huge', way)).rejects.toThrow(refusal);
      expect(await moving.queued('huge')).toBe(2);
    },
    120_000,
  );

  it('is named with its key when its table was truncated, so that no queue tells of it', async () => {
    await moving.source.query(`
      INSERT INTO bucardo.ibex_truncated (schema_name, relation_name) VALUES ('public', 'huge');
      DELETE FROM bucardo.delta_public_huge`);
    await expect(moving.apply('huge')).rejects.toThrow(refusal);
  }, 120_000);

  it('is applied with the others when it is smaller', async () => {
    await moving.source.query(`UPDATE huge SET body = 'shorter' WHERE id = 7`);
    await moving.apply('huge');
    expect(await moving.rows('target', 'huge')).toEqual(await moving.rows('source', 'huge'));
    expect(await moving.queued('huge')).toBe(0);
  });
});
