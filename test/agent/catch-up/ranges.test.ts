import { cutQueue } from '../../../assets/agent/catch-up/cut-queue';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import { intercept, startMoving, type Moving } from './moving';

const TABLES = `
  CREATE TABLE public.plain (id int PRIMARY KEY, v text);
  CREATE TABLE public.pair (a uuid, b bigint, v int, PRIMARY KEY (a, b));
  CREATE TABLE public.labelled (id int PRIMARY KEY, label text UNIQUE);
  CREATE TABLE public.by_text (k text PRIMARY KEY);
  CREATE TABLE public.typed (n int PRIMARY KEY, at timestamptz, amount numeric);
  CREATE TABLE public.hot (id int PRIMARY KEY, v int);
  CREATE TABLE public.cool (id int PRIMARY KEY, v int);
  CREATE TABLE public.single (id int PRIMARY KEY, v int);
  CREATE TABLE public.several (a int, b int, v int, PRIMARY KEY (a, b))`;

/** Small, so that a queue of a few pages is long. */
const BATCH = 300;

let moving: Moving;
beforeAll(async () => {
  moving = await startMoving(TABLES, `INSERT INTO plain SELECT i, 'first' FROM generate_series(1, 2000) i`);
});
afterAll(() => moving.migration.stop());

/** Catch-up whose sessions on one end call `before` ahead of each statement. */
async function catchUp(
  end: 'source' | 'target' = 'source',
  before: (text: string) => Promise<unknown> | undefined = () => undefined,
): Promise<CatchUp> {
  const context = await moving.migration.context('sync');
  const connect = context.connect.bind(context);
  context.connect = async (which, purpose) => {
    const client = await connect(which, purpose);
    return which === end ? intercept(client, before) : client;
  };
  return new CatchUp(context, moving.relations(), moving.lease, BATCH);
}

const change = (round: number): Promise<unknown> =>
  moving.source.query(`
    UPDATE plain SET v = 'round ${round} ' || id WHERE id % 2 = 0; UPDATE plain SET v = v || ' again' WHERE id % 10 = 0;
    DELETE FROM plain WHERE id % 7 = ${round % 7}; UPDATE plain SET id = -id WHERE id % 13 = ${round % 13};
    INSERT INTO plain SELECT 10000 + ${round} * 1000 + i, 'new' FROM generate_series(1, 500) i`);

async function expectEqual(...names: string[]): Promise<void> {
  for (const name of names) {
    expect(await moving.rows('target', name)).toEqual(await moving.rows('source', name));
    expect(await moving.queued(name)).toBe(0);
  }
}

async function untilEmpty(rounds: CatchUp): Promise<void> {
  const session = await moving.sessions();
  await rounds.until(session.source, 1);
  await Promise.all([session.source.end(), session.target.end(), rounds.close()]);
}

const forgets = (text: string): boolean => text.startsWith('DELETE FROM "bucardo"."delta_public_plain" AS d WHERE');

describe('a long queue', () => {
  it('is applied in ranges of its key, two at a time, each forgetting its own changes only', async () => {
    await change(1);
    await moving.source.query(
      `INSERT INTO pair SELECT md5(i::text)::uuid, i, i FROM generate_series(1, 2000) i; DELETE FROM pair WHERE b % 3 = 0`,
    );
    const conditions: string[] = [];
    let [open, most] = [0, 0];
    const rounds = await catchUp('source', (text) => {
      if (text.startsWith('BEGIN ISOLATION')) most = Math.max(most, (open += 1));
      if (text === 'COMMIT') open -= 1;
      if (forgets(text)) conditions.push(text.replace(/.* WHERE /, ''));
      return undefined;
    });
    await untilEmpty(rounds);
    expect(conditions.length).toBeGreaterThan(4);
    expect(new Set(conditions).size).toBe(conditions.length);
    expect(most).toBe(2);
    await expectEqual('plain', 'pair');
  });

  it('takes nothing with it that is written while its ranges are applied', async () => {
    let writes = 0;
    const rounds = await catchUp('source', (text) => {
      if (!forgets(text) || writes >= 5) return undefined;
      writes += 1;
      return moving.source.query(
        `UPDATE plain SET v = 'between ${writes}' WHERE id % 5 = 0; DELETE FROM plain WHERE id = 4 * ${writes}`,
      );
    });
    await change(2);
    await untilEmpty(rounds);
    expect(writes).toBe(5);
    await expectEqual('plain');
  });

  it('is applied while a vacuum holds it that gives way to nobody', async () => {
    await change(8);
    const vacuum = await moving.migration.admin('source');
    await vacuum.query('BEGIN; LOCK TABLE bucardo.delta_public_plain IN SHARE UPDATE EXCLUSIVE MODE');
    try {
      await untilEmpty(await catchUp());
    } finally {
      await vacuum.end();
    }
    await expectEqual('plain');
  });

  it('is not cut where the target has another unique index: values may move between the ranges', async () => {
    await moving.source.query(`INSERT INTO labelled SELECT i, 'l' || i FROM generate_series(1, 3000) i`);
    await untilEmpty(await catchUp());
    await moving.source.query(`UPDATE labelled SET label = 'x' || id; UPDATE labelled SET label = 'l' || (3001 - id)`);
    const session = await moving.sessions();
    expect(await cutQueue(session.source, session.target, moving.relation('labelled'), BATCH)).toBeUndefined();
    await untilEmpty(await catchUp());
    await expectEqual('labelled');
  });

  it('is not cut by text, which two servers may sort differently', async () => {
    await moving.source.query(`INSERT INTO by_text SELECT md5(i::text) FROM generate_series(1, 2000) i`);
    const session = await moving.sessions();
    expect(await cutQueue(session.source, session.target, moving.relation('by_text'), BATCH)).toBeUndefined();
    await untilEmpty(await catchUp());
    await expectEqual('by_text');
  });

  it('goes in binary, or as text where a column of the target has another type', async () => {
    await moving.source.query(`INSERT INTO typed SELECT i, clock_timestamp(), i / 7.0 FROM generate_series(1, 2000) i`);
    const copied = async (): Promise<Set<string>> => {
      const formats: string[] = [];
      const rounds = await catchUp('target', (text) => {
        const [, format] = /^COPY "public"\."typed".*FORMAT (\w+)/.exec(text) ?? [];
        if (format !== undefined) formats.push(format);
        return undefined;
      });
      await untilEmpty(rounds);
      await expectEqual('typed');
      return new Set(formats);
    };
    expect(await copied()).toEqual(new Set(['binary']));
    await moving.target.query('ALTER TABLE typed ALTER n TYPE bigint');
    await moving.source.query('UPDATE typed SET at = clock_timestamp()');
    expect(await copied()).toEqual(new Set(['text']));
  });

  it('of keys that come again and again has each of them read once', async () => {
    await moving.source.query(`INSERT INTO hot SELECT i, 0 FROM generate_series(1, 100) i`);
    for (let round = 0; round < 20; round += 1) await moving.source.query('UPDATE hot SET v = v + 1');
    const session = await moving.sessions();
    const cut = await cutQueue(session.source, session.target, moving.relation('hot'), BATCH);
    expect(cut?.repeats).toBe(true);
    await Promise.all([session.source.end(), session.target.end()]);
    const rounds = await catchUp();
    expect(await rounds.apply([moving.relation('hot')])).toBe(100);
    await rounds.close();
    await expectEqual('hot');
  });

  it('of keys that hardly ever come twice is applied without sorting out those that do', async () => {
    await moving.source.query(`INSERT INTO cool SELECT i, 0 FROM generate_series(1, 2000) i`);
    await moving.source.query(`UPDATE cool SET v = 1 WHERE id % 1000 = 7`);
    const session = await moving.sessions();
    const cut = await cutQueue(session.source, session.target, moving.relation('cool'), BATCH);
    expect(cut?.repeats).toBe(false);
    await untilEmpty(await catchUp());
    await Promise.all([session.source.end(), session.target.end()]);
    await expectEqual('cool');
  });

  it('has its rows looked up at the target where a key is one column, and joined with the keys where it is several', async () => {
    await moving.source.query(`
      INSERT INTO single SELECT i, 0 FROM generate_series(1, 2000) i; INSERT INTO several SELECT i % 9, i, 0 FROM generate_series(1, 2000) i`);
    await untilEmpty(await catchUp());
    await moving.source.query(`
      UPDATE single SET v = 1; DELETE FROM single WHERE id % 3 = 0; UPDATE several SET v = 1; DELETE FROM several WHERE b % 3 = 0`);
    const deletions: string[] = [];
    const rounds = await catchUp('target', (text) => {
      if (text.startsWith('DELETE')) deletions.push(text);
      return undefined;
    });
    await untilEmpty(rounds);
    await expectEqual('single', 'several');
    const of = (table: string): string[] => deletions.filter((text) => text.includes(`"public"."${table}"`));
    for (const table of ['single', 'several']) expect(of(table).length).toBeGreaterThan(1);
    expect(of('single').filter((text) => text.includes(' USING '))).toEqual([]);
    expect(of('several').filter((text) => text.includes(' ANY '))).toEqual([]);
  });

  it('of a table that was truncated, before or while it is cut, is copied whole', async () => {
    await change(3);
    await moving.source.query('TRUNCATE plain; INSERT INTO plain SELECT i, NULL FROM generate_series(1, 2000) i');
    await untilEmpty(await catchUp());
    await expectEqual('plain');
    await change(4);
    let truncated = false;
    const rounds = await catchUp('target', (text) => {
      if (truncated || !text.startsWith('BEGIN')) return undefined;
      truncated = true;
      return moving.source.query('TRUNCATE plain; INSERT INTO plain SELECT i, $$t$$ FROM generate_series(5, 1500) i');
    });
    await untilEmpty(rounds);
    expect(truncated).toBe(true);
    await expectEqual('plain');
  });

  it('is brought to one snapshot in ranges, too', async () => {
    await change(5);
    const expected = await moving.rows('source', 'plain');
    let written = false;
    const rounds = await catchUp('source', (text) => {
      if (written || !text.startsWith('SET TRANSACTION SNAPSHOT')) return undefined;
      written = true;
      return moving.source.query(`UPDATE plain SET v = 'later'`);
    });
    const session = await moving.sessions();
    await rounds.toOneSnapshot(session.source);
    expect(written).toBe(true);
    expect(await moving.rows('target', 'plain')).toEqual(expected);
    await rounds.until(session.source, 1);
    await expectEqual('plain');
    await rounds.close();
  });

  it.each([9, 20, 35])('survives a kill of the target at statement %i of two hands', async (nth) => {
    await change(10 + nth);
    let seen = 0;
    let killed: Promise<void> | undefined;
    const rounds = await catchUp('target', () => {
      seen += 1;
      if (seen === nth) killed = moving.migration.target.kill();
      return seen === nth && nth % 2 === 0 ? killed : undefined;
    });
    const outcome = await rounds.apply(moving.relations()).catch((error: Error) => error);
    expect(killed).toBeDefined();
    await killed;
    expect(outcome).toHaveProperty('message');
    await rounds.close();
    await moving.migration.target.start();
    await moving.reconnect();
    await untilEmpty(await catchUp());
    await expectEqual('plain');
  });
});
