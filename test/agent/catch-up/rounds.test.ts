import type { Client } from 'pg';
import { applyChanges } from '../../../assets/agent/catch-up/apply';
import { readBacklog } from '../../../assets/agent/catch-up/backlog';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import type { Context } from '../../../assets/agent/context';
import { Lease } from '../../../assets/agent/lease';
import { until } from '../../helpers/until';
import { commitUnanswered, intercept, startMoving, terminate, type Moving } from './moving';

const TABLES = `
  CREATE TABLE public.parent (id int PRIMARY KEY);
  CREATE TABLE public.child (id int PRIMARY KEY, parent int REFERENCES public.parent);
  CREATE TABLE public.third (id int PRIMARY KEY, v int)`;

let moving: Moving;
beforeAll(async () => {
  moving = await startMoving(TABLES, 'INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)');
});
afterAll(() => moving.migration.stop());

type Before = (text: string, client: Client) => Promise<unknown> | undefined;

/** A context whose catch-up sessions on one end call `before` ahead of each statement. */
async function watched(before: Before, watchedEnd: 'source' | 'target' = 'source'): Promise<Context> {
  const context = await moving.migration.context('sync');
  const connect = context.connect.bind(context);
  context.connect = async (end, purpose) => {
    const client = await connect(end, purpose);
    return end === watchedEnd && purpose === 'catch-up' ? intercept(client, (text) => before(text, client)) : client;
  };
  return context;
}

async function catchUp(before: Before = () => undefined, end: 'source' | 'target' = 'source'): Promise<CatchUp> {
  return new CatchUp(await watched(before, end), moving.relations(), moving.lease);
}

const everything = async (end: 'source' | 'target'): Promise<string[][]> =>
  Promise.all(['parent', 'child', 'third'].map((name) => moving.rows(end, name)));

describe('catch-up of many tables', () => {
  it('goes round until fewer changes than asked for are left, and counts what it applied', async () => {
    // While a round runs, the application writes on, a little less each time.
    const later = [30, 10, 3];
    const rounds = await catchUp((text) => {
      if (!text.startsWith('DELETE FROM "bucardo"."delta_public_third"')) return undefined;
      const rows = later.shift() ?? 0;
      return moving.source.query(`INSERT INTO third SELECT ${rows} * 1000 + i FROM generate_series(1, ${rows}) i`);
    });
    await moving.source.query(
      'INSERT INTO third SELECT i FROM generate_series(1, 100) i; INSERT INTO parent VALUES (2)',
    );
    const session = await moving.sessions();
    const applied = await rounds.until(session.source, 1);
    expect(applied).toBe(144);
    expect(await everything('target')).toEqual(await everything('source'));
    const context = await moving.migration.context('sync');
    expect((await context.state.counters())['rows.catch-up']).toBe(144);
    await rounds.close();
  });

  it('leaves a backlog below the threshold to Bucardo', async () => {
    await moving.source.query('INSERT INTO third SELECT 5000 + i FROM generate_series(1, 9) i');
    const rounds = await catchUp();
    const session = await moving.sessions();
    expect(await rounds.until(session.source, 10)).toBe(0);
    expect(await moving.queued('third')).toBe(9);
    expect(await rounds.until(session.source, 9)).toBe(9);
    expect(await moving.queued('third')).toBe(0);
    await rounds.close();
  });

  it('leaves it at what comes during one round, where the application writes as fast as changes are applied', async () => {
    let from = 6_000;
    const rounds = await catchUp((text) => {
      if (!text.startsWith('DELETE FROM "bucardo"."delta_public_third"')) return undefined;
      from += 12;
      return moving.source.query('INSERT INTO third SELECT i FROM generate_series($1::int, $1::int + 11) i', [from]);
    });
    await moving.source.query('INSERT INTO third SELECT i FROM generate_series(6000, 6011) i');
    const session = await moving.sessions();
    expect(await rounds.until(session.source, 5, 3)).toBe(36);
    expect(await moving.queued('third')).toBe(12);
    await rounds.close();
    await (await catchUp()).apply(moving.relations());
  });

  it('knows how long each queue is, up to the limit it is asked for, and of truncated tables', async () => {
    await moving.source.query('UPDATE third SET v = 1 WHERE id < 51; TRUNCATE child');
    const backlog = await readBacklog(moving.source, moving.relations(), 20);
    const known = Object.fromEntries(backlog.map(({ relation, changes }) => [relation.name, changes]));
    expect(known).toEqual({ third: 20, child: 1 });
    await (await catchUp()).apply(moving.relations());
    expect(await readBacklog(moving.source, moving.relations(), 20)).toEqual([]);
  });

  it('brings every table to one instant; what is written later stays in the queues', async () => {
    await moving.source.query(
      'INSERT INTO parent VALUES (10); INSERT INTO child VALUES (10, 10); UPDATE third SET v = 2 WHERE id = 1',
    );
    const atExport = await everything('source');
    let written = false;
    const rounds = await catchUp((text) => {
      if (written || !text.startsWith('SET TRANSACTION SNAPSHOT')) return undefined;
      written = true;
      return moving.source.query(`
        INSERT INTO parent VALUES (11); INSERT INTO child VALUES (11, 11); DELETE FROM child WHERE id = 10;
        UPDATE third SET v = 3 WHERE id IN (1, 2)`);
    });
    const session = await moving.sessions();
    expect(await rounds.toOneSnapshot(session.source)).toEqual({ keys: 3, restless: [] });
    expect(written).toBe(true);
    expect(await everything('target')).toEqual(atExport);
    expect([await moving.queued('parent'), await moving.queued('child'), await moving.queued('third')]).toEqual([
      1, 2, 2,
    ]);
    expect((await session.source.query(`SELECT txid_current_if_assigned() AS open`)).rows).toEqual([{ open: null }]);
    await rounds.until(session.source, 1);
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('is at one instant even when a table is truncated meanwhile, which empties it under every snapshot', async () => {
    await moving.source.query('INSERT INTO child VALUES (20, 10); UPDATE third SET v = 4 WHERE id < 5');
    let isTruncated = false;
    const rounds = await catchUp((text) => {
      if (isTruncated || !text.startsWith('BEGIN ISOLATION')) return undefined;
      isTruncated = true;
      return moving.source.query('TRUNCATE third; INSERT INTO third VALUES (1, 5), (-5, 5)');
    });
    const session = await moving.sessions();
    await rounds.toOneSnapshot(session.source);
    expect(isTruncated).toBe(true);
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it.each([
    [
      'a table',
      'INSERT INTO third SELECT 700 + i FROM generate_series(1, 9) i; DELETE FROM child',
      'ALTER TABLE third ADD more float8 DEFAULT random(); ALTER TABLE third DROP more',
    ],
    [
      'a queue',
      'UPDATE third SET v = 6; DELETE FROM child',
      'ALTER TABLE bucardo.delta_public_third ALTER id TYPE int USING id + 0',
    ],
  ])(
    'is at one instant even when %s is rewritten meanwhile, which shows it empty under every older snapshot',
    async (_, changes, rewrite) => {
      await moving.source.query(changes);
      let isRewritten = false;
      const rounds = await catchUp((text) => {
        if (isRewritten || !text.startsWith('BEGIN ISOLATION')) return undefined;
        isRewritten = true;
        return moving.source.query(rewrite);
      });
      const session = await moving.sessions();
      expect((await rounds.toOneSnapshot(session.source)).restless).toEqual([]);
      expect(isRewritten).toBe(true);
      expect(await everything('target')).toEqual(await everything('source'));
      expect(await moving.queued('third')).toBe(0);
      await rounds.close();
    },
  );

  it.each([
    ['source', /^COPY \(SELECT .* FROM ONLY "public"."third"/],
    ['source', /^DELETE FROM "bucardo"."delta_public_third"/],
    ['target', /^DELETE FROM ONLY "public"."third"/],
    ['target', /^COMMIT/],
  ] as const)(
    'is at one instant even when the session of a table is ended on the %s at %s, and another one applies it',
    async (end, statement) => {
      await moving.source.query('UPDATE third SET v = v + 1');
      const atExport = await everything('source');
      let isEnded = false;
      const rounds = await catchUp((text, client) => {
        if (isEnded || !statement.test(text)) return undefined;
        isEnded = true;
        return moving.source
          .query('UPDATE third SET v = 100 WHERE id = (SELECT min(id) FROM third)')
          .then(() => terminate(moving, end, client));
      }, end);
      const session = await moving.sessions();
      await rounds.toOneSnapshot(session.source);
      expect(isEnded).toBe(true);
      expect(await everything('target')).toEqual(atExport);
      expect(await moving.queued('third')).toBe(1);
      await rounds.until(session.source, 1);
      await rounds.close();
    },
  );

  it.each<readonly ['source' | 'target', string, typeof terminate]>([
    ['source', 'never arrives', terminate],
    ['source', 'takes effect', (_moving, _end, client) => commitUnanswered(client)],
    ['target', 'takes effect', (_moving, _end, client) => commitUnanswered(client)],
  ])('is at one instant even when a COMMIT on the %s has no answer and %s', async (end, _, lose) => {
    await moving.source.query('DELETE FROM third; INSERT INTO third SELECT generate_series(1, 9)');
    const atExport = await everything('source');
    let isLost = false;
    const rounds = await catchUp((text, client) => {
      if (isLost || !text.startsWith('COMMIT')) return undefined;
      isLost = true;
      return moving.source
        .query('UPDATE third SET v = 200 WHERE id = (SELECT min(id) FROM third)')
        .then(() => lose(moving, end, client));
    }, end);
    const session = await moving.sessions();
    await rounds.toOneSnapshot(session.source);
    expect(isLost).toBe(true);
    expect(await everything('target')).toEqual(atExport);
    await rounds.until(session.source, 1);
    expect(await everything('target')).toEqual(await everything('source'));
    expect(await moving.queued('third')).toBe(0);
    await rounds.close();
  });

  it.each([
    ['source', 'SELECT 0 AS index'],
    ['target', 'SELECT count(*)::int AS uniques'],
    ['source', 'ANALYZE'],
  ] as const)(
    'cuts a backlog once more when the session that does so is ended on the %s at %s',
    async (end, statement) => {
      await moving.source.query(
        'INSERT INTO third SELECT 30000 + (SELECT coalesce(max(id), 0) FROM third) + i FROM generate_series(1, 2000) i',
      );
      let isEnded = false;
      const context = await watched((text, client) => {
        if (isEnded || !text.startsWith(statement)) return undefined;
        isEnded = true;
        return terminate(moving, end, client);
      }, end);
      const rounds = new CatchUp(context, moving.relations(), moving.lease, 100);
      expect(await rounds.apply(moving.relations())).toBe(2000);
      expect(isEnded).toBe(true);
      expect(await everything('target')).toEqual(await everything('source'));
      await rounds.close();
    },
  );

  it('gives up when the session that cuts a backlog is ended again and again', async () => {
    await moving.source.query('INSERT INTO third SELECT coalesce(max(id), 0) + 1 FROM third');
    let ends = 0;
    const rounds = await catchUp((text, client) => {
      if (!text.startsWith('SELECT 0 AS index')) return undefined;
      ends += 1;
      return terminate(moving, 'source', client);
    });
    await expect(rounds.apply(moving.relations())).rejects.toThrow(/terminat|ECONNRESET|not queryable/);
    expect(ends).toBe(6);
    await rounds.close();
    await (await catchUp()).apply(moving.relations());
  });

  it('gives up with a table whose session is ended again and again', async () => {
    await moving.source.query('UPDATE third SET v = v + 1');
    let ends = 0;
    const rounds = await catchUp((text, client) => {
      if (!text.startsWith('DELETE FROM ONLY "public"."third"')) return undefined;
      ends += 1;
      return terminate(moving, 'target', client);
    }, 'target');
    const session = await moving.sessions();
    await expect(rounds.toOneSnapshot(session.source)).rejects.toThrow('"public"."third" cannot be applied');
    expect(ends).toBe(6);
    expect(await moving.queued('third')).toBeGreaterThan(0);
    await rounds.close();
    await (await catchUp()).apply(moving.relations());
  });

  it('goes on with other sessions when those that stand ready are ended', async () => {
    await moving.source.query('INSERT INTO third VALUES (604)');
    const rounds = await catchUp();
    const open = `FROM pg_stat_activity WHERE application_name = 'ibex catch-up'`;
    const onTarget = async (): Promise<number> => (await moving.target.query(`SELECT ${open}`)).rowCount ?? 0;
    const others = await onTarget();
    await rounds.ready(8);
    await moving.source.query(`SELECT pg_terminate_backend(pid) ${open}`);
    await until(async () => (await onTarget()) <= others, { seconds: 20 });
    expect(await rounds.apply([moving.relation('third')])).toBe(1);
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('lets no session stand ready whose pair was ended while it was still at work', async () => {
    await moving.source.query('INSERT INTO third VALUES (606)');
    let target: Client | undefined;
    const context = await watched((text) => {
      const client = target;
      if (!client || !text.startsWith('DELETE FROM "bucardo"."delta_public_third"')) return undefined;
      const gone = new Promise((resolve) => client.once('end', resolve));
      return Promise.all([gone, terminate(moving, 'target', client)]);
    });
    const connect = context.connect.bind(context);
    const opened: string[] = [];
    context.connect = async (end, purpose) => {
      const client = await connect(end, purpose);
      opened.push(end);
      if (end === 'target') target ??= client;
      return client;
    };
    const rounds = new CatchUp(context, moving.relations(), moving.lease);
    expect(await rounds.apply([moving.relation('third')])).toBe(1);
    expect(opened).toEqual(['source', 'target']);
    await rounds.ready(1);
    expect(opened).toEqual(['source', 'target', 'source', 'target']);
    await rounds.close();
  });

  it('applies few changes one by one when the session that applies them together is ended', async () => {
    await moving.source.query('INSERT INTO parent VALUES (72); INSERT INTO third VALUES (605)');
    let ends = 0;
    const rounds = await catchUp((text, client) => {
      if (ends > 0 || !text.startsWith('DELETE FROM ONLY')) return undefined;
      ends += 1;
      return terminate(moving, 'target', client);
    }, 'target');
    const backlog = await readBacklog(moving.source, moving.relations(), 10);
    expect(await rounds.applyShort(backlog, 1)).toBe(2);
    expect(ends).toBe(1);
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('ends although a table is truncated again and again, names it, and leaves it to later rounds', async () => {
    let truncations = 0;
    let last: Promise<unknown> = Promise.resolve();
    const rounds = await catchUp((text) => {
      if (!text.startsWith('BEGIN ISOLATION')) return undefined;
      truncations += 1;
      last = last.then(() => moving.source.query('TRUNCATE third; INSERT INTO third SELECT generate_series(1, 100)'));
      return last;
    });
    await moving.source.query('DELETE FROM third WHERE id = 1');
    const session = await moving.sessions();
    const { restless } = await rounds.toOneSnapshot(session.source);
    expect(restless.map(({ sql: name }) => name)).toEqual(['"public"."third"']);
    expect(truncations).toBeGreaterThan(1);
    await (await catchUp()).apply(moving.relations());
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('gives up with the first table that fails, after the others are done', async () => {
    await moving.target.query('ALTER TABLE public.parent ADD CHECK (id <> 66)');
    await moving.source.query('INSERT INTO parent VALUES (66); INSERT INTO third VALUES (600)');
    const rounds = await catchUp();
    await expect(rounds.apply(moving.relations())).rejects.toThrow('"public"."parent" cannot be applied');
    expect(await moving.queued('third')).toBe(0);
    expect(await moving.queued('parent')).toBe(1);
    await moving.target.query('ALTER TABLE public.parent DROP CONSTRAINT parent_id_check');
    await rounds.apply(moving.relations());
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('applies few changes of other tables at once while somebody has one for itself', async () => {
    await moving.source.query('INSERT INTO parent VALUES (69); INSERT INTO third VALUES (603)');
    const backlog = await readBacklog(moving.source, moving.relations(), 10);
    const owner = await moving.migration.admin('source');
    await owner.query('BEGIN; LOCK TABLE parent IN ACCESS EXCLUSIVE MODE');
    const rounds = await catchUp();
    const working = rounds.applyShort([...backlog], 2);
    await until(async () => (await moving.queued('third')) === 0);
    expect(await moving.queued('parent')).toBe(1);
    await owner.query('ROLLBACK');
    expect(await working).toBe(2);
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('names every table that fails, and applies the others, with a single session too', async () => {
    await moving.target.query(
      'ALTER TABLE public.parent ADD CHECK (id <> 67); ALTER TABLE public.child ADD CHECK (id <> 67)',
    );
    await moving.source.query(
      'INSERT INTO parent VALUES (67); INSERT INTO child VALUES (67, 67); INSERT INTO third VALUES (601)',
    );
    const rounds = await catchUp();
    const inOrder = ['parent', 'child', 'third'].map((name) => moving.relation(name));
    await expect(rounds.apply(inOrder, undefined, 1)).rejects.toThrow(
      /^"public"."parent" cannot be applied: .*; start again; "public"."child" cannot be applied: .*; start again$/,
    );
    expect(await Promise.all(['parent', 'child', 'third'].map((name) => moving.queued(name)))).toEqual([1, 1, 0]);
    await moving.target.query(
      'ALTER TABLE public.parent DROP CONSTRAINT parent_id_check; ALTER TABLE public.child DROP CONSTRAINT child_id_check',
    );
    await rounds.apply(moving.relations());
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('names a table whose long queue cannot be cut, and applies the others', async () => {
    await moving.source.query(
      'UPDATE third SET v = 0; INSERT INTO third SELECT 8000 + i FROM generate_series(1, 2000) i; INSERT INTO parent VALUES (70)',
    );
    await moving.target.query('ALTER TABLE public.third RENAME TO away');
    const rounds = new CatchUp(await watched(() => undefined), moving.relations(), moving.lease, 100);
    await expect(rounds.apply(moving.relations())).rejects.toThrow(
      /^"public"\."third" cannot be applied: relation "public\.third" does not exist; nothing was forgotten; start again$/,
    );
    expect(await moving.queued('parent')).toBe(0);
    await moving.target.query('ALTER TABLE public.away RENAME TO third');
    await rounds.apply(moving.relations());
    expect(await everything('target')).toEqual(await everything('source'));
    await rounds.close();
  });

  it('applies few changes of some tables before it copies another anew', async () => {
    await moving.source.query('TRUNCATE third; INSERT INTO parent VALUES (71)');
    const order: string[] = [];
    const rounds = await catchUp((text) => {
      const [, table] = /^COPY \(SELECT .* FROM ONLY "public"\."(\w+)"/.exec(text) ?? [];
      if (table !== undefined) order.push(table);
      return undefined;
    });
    await rounds.apply([moving.relation('third'), moving.relation('parent')], undefined, 1);
    expect(order).toEqual(['parent', 'third']);
    await rounds.close();
  });

  it('begins no further table once another run has taken over', async () => {
    await moving.source.query('INSERT INTO parent VALUES (68); INSERT INTO third VALUES (602)');
    const rounds = await catchUp();
    const before = moving.lease;
    moving.lease = await Lease.take(await moving.context.connect('target'), 'catch-up');
    const inOrder = ['parent', 'third'].map((name) => moving.relation(name));
    await expect(rounds.apply(inOrder, undefined, 1)).rejects.toThrow(
      new RegExp(
        `^"public"."parent" on the target belongs to catch-up .*generation ${before.generation}\\): another run`,
      ),
    );
    expect(await moving.queued('third')).toBe(1);
    await (await catchUp()).apply(moving.relations());
    await rounds.close();
  });

  it('started twice with one lease ends equal all the same', async () => {
    await moving.source.query(
      'UPDATE third SET v = 100 + id; DELETE FROM third WHERE id % 2 = 0; INSERT INTO third VALUES (-1)',
    );
    const [one, two] = [await moving.sessions(), await moving.sessions()];
    const third = moving.relation('third');
    await Promise.all([applyChanges(one, moving.lease, third), applyChanges(two, moving.lease, third)]);
    expect(await everything('target')).toEqual(await everything('source'));
    expect(await moving.queued('third')).toBe(0);
  });
});
