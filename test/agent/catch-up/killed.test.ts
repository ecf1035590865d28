import { applyChanges, type Sessions } from '../../../assets/agent/catch-up/apply';
import { Lease } from '../../../assets/agent/lease';
import { intercept, expectItemsEqual, startItems, WAYS, type Moving } from './moving';

let moving: Moving;
beforeAll(async () => {
  moving = await startItems(300);
});
afterAll(() => moving.migration.stop());

/** Changes of every kind; no two rounds alike. */
async function change(round: number): Promise<void> {
  const first = 300 + round;
  await moving.source.query(`
    INSERT INTO item SELECT ${first} * 1000 + i, NULL, repeat('y', 500) FROM generate_series(1, 200) i;
    UPDATE item SET filler = repeat('${round % 10}', 500) WHERE id % 3 = 0;
    UPDATE item SET label = 'in passing' WHERE id = 1;
    UPDATE item SET label = CASE label WHEN 'here' THEN 'there' ELSE 'here' END WHERE id = 2;
    UPDATE item SET label = CASE (SELECT label FROM item WHERE id = 2) WHEN 'here' THEN 'there' ELSE 'here' END WHERE id = 1;
    UPDATE item SET id = -id WHERE id % 7 = 0; DELETE FROM item WHERE id % 11 = 0`);
}

/** Ends the sessions, which may be in the midst of a COPY, as the process's end would. */
const drop = ({ source, target }: Sessions): Promise<unknown> => Promise.allSettled([source.end(), target.end()]);

/** When a server is killed: before the statement is sent, or once it is on its way. */
type Moment = 'before' | 'within';

/**
 * Applies the changes and kills one end's server at the nth statement there. Returns that statement's first word, or
 * undefined when there were fewer.
 */
async function killedAt(
  end: 'source' | 'target',
  nth: number,
  moment: Moment,
  way: typeof applyChanges = applyChanges,
): Promise<string | undefined> {
  const server = moving.migration[end];
  const pair = await moving.sessions();
  let seen = 0;
  let killed: Promise<void> | undefined;
  let struck: string | undefined;
  intercept(pair[end], (text) => {
    seen += 1;
    if (seen !== nth) return undefined;
    struck = /\w+/.exec(text)?.[0];
    killed = server.kill();
    return moment === 'before' ? killed : undefined;
  });
  const outcome = await way(pair, moving.lease, moving.relation('item')).catch((error: Error) => error);
  await killed;
  await drop(pair);
  if (struck === undefined) return undefined;
  if (moment === 'before') expect(outcome).toBeInstanceOf(Error);
  await server.start();
  await moving.reconnect();
  return struck;
}

/** First words of the statements on each end. */
const STATEMENTS = {
  'by itself': {
    target: ['BEGIN', 'SET', 'SELECT', 'CREATE', 'COPY', 'ANALYZE', 'DELETE', 'COPY', 'COMMIT'],
    source: ['SELECT', 'BEGIN', 'SELECT', 'COPY', 'COPY', 'DELETE', 'DELETE', 'COMMIT'],
  },
  'among those with few changes': {
    target: ['BEGIN', 'SELECT', 'DELETE', 'COPY', 'COMMIT'],
    source: ['BEGIN', 'SELECT', 'COPY', 'DELETE', 'COMMIT'],
  },
} as const;
let rounds = 0;

describe.each(['target', 'source'] as const)('the server of the %s is killed', (end) => {
  it.each(WAYS)(
    'at any statement of catch-up %s: once it is back, the same again ends with equal rows',
    async (name, way) => {
      const struck: string[] = [];
      await moving.source.query('DELETE FROM item WHERE id > 300 OR id < 0');
      await moving.apply('item');
      for (let nth = 1; ; nth += 1) {
        await change(nth + rounds);
        const word = await killedAt(end, nth, nth % 2 === 0 ? 'within' : 'before', way);
        await moving.apply('item', way);
        await expectItemsEqual(moving);
        if (word === undefined) break;
        struck.push(word);
      }
      rounds += 20;
      expect(struck).toEqual(STATEMENTS[name][end]);
    },
  );

  it.each(['before', 'within'] as const)('%s its commit, and while it copies a truncated table', async (moment) => {
    const commit = end === 'target' ? 9 : 8;
    await change(500);
    expect(await killedAt(end, commit, moment)).toBe('COMMIT');
    await moving.apply('item');
    await expectItemsEqual(moving);
    await moving.source.query(
      `TRUNCATE item; INSERT INTO item SELECT i, 'l' || i, repeat('z', 500) FROM generate_series(1, 300) i`,
    );
    const copy = end === 'target' ? 5 : 4;
    expect(await killedAt(end, copy, moment)).toBe('COPY');
    await moving.apply('item');
    await expectItemsEqual(moving);
  });
});

describe('a stale applier', () => {
  it('is refused when another has taken over, and writes, forgets and keeps nothing', async () => {
    await change(900);
    const before = await moving.rows('target', 'item');
    const queued = await moving.queued('item');
    const stale = moving.lease;
    const pair = await moving.sessions();
    moving.lease = await Lease.take(pair.target, 'catch-up');
    await expect(applyChanges(pair, stale, moving.relation('item'))).rejects.toThrow(
      `"public"."item" on the target belongs to catch-up (generation ${moving.lease.generation}), not to this catch-up ` +
        `(generation ${stale.generation}): another run has taken over; nothing was written`,
    );
    await drop(pair);
    expect(await moving.rows('target', 'item')).toEqual(before);
    expect(await moving.queued('item')).toBe(queued);
    await moving.apply('item');
    await expectItemsEqual(moving);
  });

  it('is refused also when Bucardo took over, and each take-over has a generation of its own', async () => {
    const pair = await moving.sessions();
    const bucardo = await Lease.take(pair.target, 'bucardo');
    await moving.source.query('UPDATE item SET filler = NULL WHERE id = 1');
    await expect(applyChanges(pair, moving.lease, moving.relation('item'))).rejects.toThrow(/belongs to bucardo/);
    await drop(pair);
    moving.lease = await Lease.take(moving.target, 'catch-up');
    expect(Number(moving.lease.generation)).toBeGreaterThan(Number(bucardo.generation));
    await moving.apply('item');
  });

  it('that is within a transaction is waited for, so that nothing of it commits after the take-over', async () => {
    const late = await moving.sessions();
    await late.target.query(`BEGIN; SET LOCAL session_replication_role = 'replica'`);
    await moving.lease.hold(late.target, moving.relation('item'));
    await late.target.query(`INSERT INTO public.item VALUES (123456, 'a chunk of yesterday')`);
    const heir = await moving.sessions();
    let taken = false;
    const taking = Lease.take(heir.target, 'catch-up').then((lease) => {
      taken = true;
      return lease;
    });
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE ibex.relation%'`;
    while ((await moving.target.query(waiting)).rowCount === 0) expect(taken).toBe(false);
    await moving.source.query(`INSERT INTO item VALUES (123456, 'today'); DELETE FROM item WHERE id = 123456`);
    await late.target.query('COMMIT');
    moving.lease = await taking;
    await applyChanges(heir, moving.lease, moving.relation('item'));
    await expectItemsEqual(moving);
    await drop(late);
    await drop(heir);
  });

  it('has no lease on a table that nobody prepared', async () => {
    const pair = await moving.sessions();
    const stranger = { ...moving.relation('item'), name: 'stranger' };
    await expect(moving.lease.hold(pair.target, stranger)).rejects.toThrow(/belongs to nobody \(generation -\)/);
    await drop(pair);
  });
});
