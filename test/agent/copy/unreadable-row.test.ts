import type { Client } from 'pg';
import { takeAssessment } from '../../../assets/agent/assess';
import { capture } from '../../../assets/agent/capture';
import { readRelations } from '../../../assets/agent/catalog/relations';
import { readBacklog } from '../../../assets/agent/catch-up/backlog';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import type { Context } from '../../../assets/agent/context';
import { copyAll } from '../../../assets/agent/copy';
import { dumpRows } from '../../../assets/agent/dump';
import { Lease } from '../../../assets/agent/lease';
import { restoreRows } from '../../../assets/agent/restore';
import { copySchema } from '../../../assets/agent/schema';
import { asciiEnds, type AsciiEnds } from '../../helpers/ascii';
import { COPY_PROBES, CopyTest } from '../../helpers/copy-test';

const CURE = `the source holds bytes there that are no text in UTF-8, as which Ibex reads it; correct that value at the source`;
const WORDS = `invalid byte sequence for encoding "UTF8": 0xe9`;

let copy: CopyTest;
let ends: AsciiEnds;
beforeAll(async () => {
  copy = await CopyTest.start();
});
afterAll(() => copy.migration.stop());
beforeEach(async () => {
  await copy.migration.fresh();
  ends = await asciiEnds(copy.migration);
  await ends.source.query(`
    CREATE TABLE large (id int PRIMARY KEY, note text);
    CREATE TABLE other (id int PRIMARY KEY, "each" text, note text);
    CREATE TABLE named (name text PRIMARY KEY, note text);
    INSERT INTO large SELECT i, repeat('note ', 20) FROM generate_series(1, 10000) i;
    INSERT INTO other SELECT i, '', repeat('note ', 20) FROM generate_series(1, 10000) i;
    ANALYZE`);
  await run('schema', copySchema);
  await run('capture', (context) => capture.run(context));
});

const run = <T>(phase: string, work: (context: Context) => Promise<T>): Promise<T> =>
  copy.within(phase, work, ends.config);
const spoil = (): Promise<unknown> => ends.source.query(`UPDATE other SET note = E'caf\\xe9' WHERE id = 5000`);
const mend = (): Promise<unknown> => ends.source.query(`UPDATE other SET note = 'cafe' WHERE id = 5000`);
const count = async (client: Client, table: string): Promise<number> =>
  ((await client.query(`SELECT count(*)::int AS n FROM ${table}`)).rows[0] as { n: number }).n;

describe('bytes that are no text, in a source that takes any', () => {
  it('keep their table alone out of the dump, which names the row', async () => {
    await spoil();
    const dump = () => run('dump', (context) => dumpRows(context));
    expect((await dump()).message).toMatch(
      new RegExp(
        `^2 tables dumped, .*; "public"."other" was left out: .*${WORDS}.* \\(such a row has the key \\(5000\\)\\); ${CURE}$`,
      ),
    );
    await expect(run('restore', restoreRows)).rejects.toThrow(/^rows of "public"."other" are not in the dump: /);
    expect(await count(ends.target, 'large')).toBe(10_000);
    await mend();
    expect((await dump()).message).toMatch(/^1 tables dumped, [^;]*$/);
    await run('restore', restoreRows);
    expect(await count(ends.target, 'other')).toBe(10_000);
  });

  it('stop their table alone in copy, which names the row', async () => {
    await spoil();
    const copied = () => run('copy', (context) => copyAll(context, COPY_PROBES));
    await expect(copied()).rejects.toThrow(
      new RegExp(
        `^rows of "public"."other" cannot be copied: ${WORDS} \\(.*such a row has the key \\(5000\\)\\); ${CURE}; start copy again, it resumes$`,
      ),
    );
    expect(await count(ends.target, 'large')).toBe(10_000);
    await mend();
    await copied();
    expect(await count(ends.target, 'other')).toBe(10_000);
  });

  it('stop their table alone in catch-up, which names the row', async () => {
    await run('copy', (context) => copyAll(context, COPY_PROBES));
    await ends.source.query(`UPDATE other SET note = 'changed' WHERE id % 100 = 0`);
    await spoil();
    await ends.source.query('DELETE FROM large WHERE id = 1');
    const caughtUp = () =>
      run('sync', async (context) => {
        const [source, target] = [await context.connect('source'), await context.connect('target')];
        const relations = await readRelations(source, context.config);
        const rounds = new CatchUp(context, relations, await Lease.take(target, 'catch-up'));
        await rounds.until(source, 0).finally(() => rounds.close());
      });
    await expect(caughtUp()).rejects.toThrow(
      new RegExp(
        `^"public"."other" cannot be applied: ${WORDS} \\(such a row has the key \\(5000\\)\\); ${CURE}; nothing was forgotten; start again$`,
      ),
    );
    expect(await count(ends.target, 'large')).toBe(9_999);
    await mend();
    await caughtUp();
    const { rows } = await ends.target.query('SELECT note FROM other WHERE id = 5000');
    expect(rows).toEqual([{ note: 'cafe' }]);
  });

  it('stop their table alone where few changes are applied together, also while only a change has them as a key', async () => {
    await run('copy', (context) => copyAll(context, COPY_PROBES));
    await ends.source.query(`INSERT INTO named VALUES (E'caf\\xe9', 'a name'); DELETE FROM large WHERE id = 1`);
    const drained = () =>
      run('cutover', async (context) => {
        const [source, target] = [await context.connect('source'), await context.connect('target')];
        const relations = await readRelations(source, context.config);
        const rounds = new CatchUp(context, relations, await Lease.take(target, 'catch-up'));
        await rounds.applyShort(await readBacklog(source, relations, 1_000), 1).finally(() => rounds.close());
      });
    const key = String.raw`\(caf\\351\)`;
    await expect(drained()).rejects.toThrow(
      new RegExp(
        `^"public"."named" cannot be applied: ${WORDS} \\(such a row has the key ${key}\\); ${CURE}; nothing was forgotten; start again$`,
      ),
    );
    expect(await count(ends.target, 'large')).toBe(9_999);
    await ends.source.query(`UPDATE named SET name = 'cafe'`);
    const told: Error = await drained().then(
      () => new Error('nothing was told'),
      (error: Error) => error,
    );
    expect(told.message).toMatch(
      new RegExp(
        `^"public"."named" cannot be applied: ${WORDS} \\(a change notes the key ${key}, which no row has any more\\); have the table copied anew, by this statement at the end that serves: .*; nothing was forgotten; start again$`,
      ),
    );
    await ends.source.query(/at the end that serves: (.*); nothing/.exec(told.message)?.[1] ?? '');
    await drained();
    const { rows } = await ends.target.query('SELECT * FROM named');
    expect(rows).toEqual([{ name: 'cafe', note: 'a name' }]);
  });

  it('are warned of by assess', async () => {
    expect((await run('assess', takeAssessment)).warnings).toContainEqual(
      expect.stringMatching(/^source database has encoding SQL_ASCII, .* as UTF-8: .* correct it beforehand$/),
    );
  });
});
