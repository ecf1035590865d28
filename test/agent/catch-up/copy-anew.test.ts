import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import { DirtyKeys } from '../../../assets/agent/verify/dirty/dirty-keys';
import { intercept, startMoving, type Moving } from './moving';

const TABLES = `
  CREATE TABLE public.large (id int PRIMARY KEY, v text);
  CREATE TABLE public.labelled (id int PRIMARY KEY, label text UNIQUE);
  CREATE TABLE public.small (id int PRIMARY KEY, v text)`;

/** Of about 4 MB, so that it is copied anew in several parts of one. */
const FILL = `INSERT INTO large SELECT i, repeat('x', 1000) || i FROM generate_series(1, 4000) i`;

const TRUNCATE = `TRUNCATE large; ${FILL}`;

let moving: Moving;
beforeAll(async () => {
  moving = await startMoving(TABLES, `${FILL}; INSERT INTO small SELECT i, 'first' FROM generate_series(1, 500) i`);
});
afterAll(() => moving.migration.stop());

/** Catch-up in parts of 1 MB, whose sessions on one end call `before` ahead of each statement. */
async function catchUp(
  end: 'source' | 'target' = 'source',
  before: (text: string) => Promise<unknown> | undefined = () => undefined,
): Promise<CatchUp> {
  const { config } = moving.migration;
  const context = await moving.migration.context('sync', { copy: { ...config.copy, chunkMegabytes: 1 } });
  const connect = context.connect.bind(context);
  context.connect = async (which, purpose) => {
    const client = await connect(which, purpose);
    return which === end ? intercept(client, before) : client;
  };
  return new CatchUp(context, moving.relations(), moving.lease);
}

async function untilEmpty(rounds: CatchUp): Promise<void> {
  const session = await moving.sessions();
  try {
    await rounds.until(session.source, 1);
  } finally {
    await Promise.all([session.source.end(), session.target.end(), rounds.close()]);
  }
}

async function expectEqual(...names: string[]): Promise<void> {
  for (const name of names) {
    expect(await moving.rows('target', name)).toEqual(await moving.rows('source', name));
    expect(await moving.queued(name)).toBe(0);
  }
  expect(await marks()).toBe(0);
}

const marks = async (): Promise<number> =>
  (await moving.source.query('SELECT FROM bucardo.ibex_truncated')).rowCount ?? 0;

/** A statement that reads rows of a table to be inserted on the target. */
const readsRows = (text: string, table = 'large'): boolean =>
  text.startsWith('COPY (SELECT') && text.includes(`FROM ONLY "public"."${table}" AS t`);

/** A statement by which a part forgets the changes of its keys. */
const forgets = (text: string): boolean => text.startsWith('DELETE FROM "bucardo"."delta_public_large" AS d WHERE');

describe('a large table that was truncated', () => {
  it('is copied anew in parts, each in a snapshot and a transaction of its own, and its marks go with the last', async () => {
    await moving.source.query(TRUNCATE);
    const seen: string[] = [];
    let standing = 0;
    const rounds = await catchUp('source', (text) => {
      if (readsRows(text)) seen.push('read');
      if (text.startsWith('BEGIN ISOLATION')) seen.push('snapshot');
      if (!forgets(text)) return undefined;
      return marks().then((count) => (standing += count));
    });
    await untilEmpty(rounds);
    const reads = seen.filter((what) => what === 'read').length;
    expect(reads).toBeGreaterThan(3);
    expect(seen.filter((what) => what === 'snapshot')).toHaveLength(reads);
    expect(standing).toBe(reads);
    await expectEqual('large');
  });

  it('loses nothing that is written between its parts, nor rows that move from one to another', async () => {
    await moving.source.query(TRUNCATE);
    let writes = 0;
    const rounds = await catchUp('source', (text) => {
      if (!forgets(text) || writes >= 3) return undefined;
      writes += 1;
      return moving.source.query(`
        UPDATE large SET v = 'between ${writes}' WHERE id % 50 = ${writes}; DELETE FROM large WHERE id % 50 = ${writes + 10};
        UPDATE large SET id = 5000 * ${writes} + id WHERE id % 50 = ${writes + 20};
        UPDATE large SET id = -5000 * ${writes} - id WHERE id % 50 = ${writes + 30} AND id > 2000`);
    });
    await untilEmpty(rounds);
    expect(writes).toBe(3);
    await expectEqual('large');
  });

  it('is copied anew once more when it is truncated again between its parts', async () => {
    await moving.source.query(TRUNCATE);
    let parts = 0;
    const rounds = await catchUp('source', (text) => {
      if (!text.startsWith('BEGIN ISOLATION')) return undefined;
      parts += 1;
      // Another part may be under way; it ends without this one.
      if (parts !== 3) return undefined;
      return moving.source.query(`TRUNCATE large; INSERT INTO large VALUES (7, 'seven'), (3999, 'late')`);
    });
    await untilEmpty(rounds);
    expect(parts).toBeGreaterThan(3);
    expect(await moving.rows('target', 'large')).toHaveLength(2);
    await expectEqual('large');
  });

  it.each([
    ['before the target is emptied', 'target', (text: string) => text.startsWith('DELETE FROM ONLY "public"."large"')],
    ['before a part is read', 'source', (text: string) => text.startsWith('BEGIN ISOLATION')],
    ['before a part is committed', 'target', (text: string) => text === 'COMMIT'],
    ['before a part is forgotten', 'source', forgets],
    ['before the marks go', 'source', (text: string) => text.includes('DELETE FROM "bucardo"."ibex_truncated"')],
  ] as const)('keeps its marks when all ends %s, and begins again', async (_moment, end, isThere) => {
    await moving.source.query(TRUNCATE);
    for (const times of [1, 3]) {
      let count = 0;
      const rounds = await catchUp(end, (text) => {
        if (isThere(text)) count += 1;
        return isThere(text) && count >= times ? Promise.reject(new Error('killed here')) : undefined;
      });
      await untilEmpty(rounds).catch(() => undefined);
      expect(count).toBeGreaterThan(0);
      // Where that comes once only, the first attempt has ended there.
      if (count >= times) expect(await marks()).toBeGreaterThan(0);
    }
    await moving.source.query(`DELETE FROM large WHERE id % 3 = 0; UPDATE large SET id = -id WHERE id % 5 = 0`);
    await untilEmpty(await catchUp());
    await expectEqual('large');
  });

  it('keeps changes of a part, for another time, that a purge forgets beside it', async () => {
    await moving.source.query(TRUNCATE);
    let purges = 0;
    const rounds = await catchUp('source', (text) => {
      if (!forgets(text)) return undefined;
      purges += 1;
      // With the lowest keys that stand in the queue; once is enough to have the part meet it.
      return purges > 1 ? undefined : moving.source.query('DELETE FROM bucardo.delta_public_large WHERE id % 100 = 0');
    });
    await untilEmpty(rounds);
    expect(purges).toBeGreaterThan(3);
    await expectEqual('large');
  });

  it('is to be compared again as a whole', async () => {
    const rounds = await catchUp();
    const context = await moving.migration.context('sync');
    const dirty = await DirtyKeys.open(context);
    const relation = moving.relation('large');
    const begun = (await dirty.begin(moving.source, [relation])).get(relation);
    await dirty.end(relation, begun!, 4000);
    expect((await dirty.standing([relation]))[0]).toMatchObject({ rows: 4000, again: false });
    await moving.source.query(TRUNCATE);
    await untilEmpty(rounds);
    expect((await dirty.standing([relation]))[0]).toMatchObject({ verifiedAt: null, again: true });
    await dirty.close();
    await expectEqual('large');
  });

  it('goes in one transaction where the target has another unique index, which rows of two snapshots may violate', async () => {
    await moving.source.query(
      `TRUNCATE labelled; INSERT INTO labelled SELECT i, repeat('y', 500) || i FROM generate_series(1, 4000) i`,
    );
    let reads = 0;
    const rounds = await catchUp('source', (text) => {
      if (readsRows(text, 'labelled')) reads += 1;
      return undefined;
    });
    await untilEmpty(rounds);
    expect(reads).toBe(1);
    await expectEqual('labelled');
  });

  it('goes in one transaction to the snapshot of a closing round, which is held anyway', async () => {
    await moving.source.query(TRUNCATE);
    let reads = 0;
    const rounds = await catchUp('source', (text) => {
      if (readsRows(text)) reads += 1;
      return undefined;
    });
    await rounds.toOneSnapshot(moving.source);
    await rounds.close();
    expect(reads).toBe(1);
    await expectEqual('large');
  });
});

it('a small table that was truncated is copied anew although fewer changes than the threshold are left', async () => {
  await moving.source.query(`TRUNCATE small; INSERT INTO small VALUES (1, 'again')`);
  const rounds = await catchUp();
  await rounds.until(moving.source, 10_000);
  await rounds.close();
  await expectEqual('small');
});

it('a table that is truncated in every round does not keep catch-up from handing over', async () => {
  const mark = `INSERT INTO bucardo.ibex_truncated (schema_name, relation_name) VALUES ('public', 'small')`;
  await moving.source.query(mark);
  let copies = 0;
  const rounds = await catchUp('source', (text) => {
    if (!text.startsWith('DELETE FROM "bucardo"."ibex_truncated"')) return undefined;
    copies += 1;
    return moving.source.query(mark);
  });
  await rounds.until(moving.source, 10_000);
  await rounds.close();
  expect(copies).toBeGreaterThan(1);
  expect(await marks()).toBe(1);
  await untilEmpty(await catchUp());
  await expectEqual('small');
});
