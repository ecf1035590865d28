import { setTimeout as sleep } from 'node:timers/promises';
import { Brake } from '../../../assets/agent/brake/brake';
import { UNBRAKED, type Paced } from '../../../assets/agent/brake/paced';
import { CatchUp } from '../../../assets/agent/catch-up/rounds';
import type { Context } from '../../../assets/agent/context';
import { startMoving, type Moving } from './moving';

const ROWS = 20_000;

let moving: Moving;
beforeAll(async () => {
  moving = await startMoving(
    'CREATE TABLE public.large (id int PRIMARY KEY, filler text)',
    `INSERT INTO large SELECT i, repeat('f', 200) FROM generate_series(1, ${ROWS}) i`,
  );
});
afterAll(() => moving.migration.stop());
beforeEach(() => moving.source.query(`UPDATE large SET filler = filler || 'x'`));

/** Applies all changes of the table, in one portion, under a brake. */
async function apply(brake: Paced, context?: Context): Promise<number> {
  const own = context ?? (await moving.migration.context('sync'));
  own.brake = { ...UNBRAKED, draining: brake };
  const catchUp = new CatchUp(own, moving.relations(), moving.lease);
  return catchUp.apply(moving.relations()).finally(() => catchUp.close());
}

const expectEqual = async (): Promise<void> =>
  expect(await moving.rows('target', 'large')).toEqual(await moving.rows('source', 'large'));

/** A session of catch-up that reads rows of the table, with lock and snapshot. */
const READING = `SELECT pid FROM pg_stat_activity WHERE application_name = 'ibex catch-up' AND query LIKE 'COPY (SELECT "id", %'`;

async function untilReading(): Promise<void> {
  while ((await moving.source.query(READING)).rowCount === 0) await sleep(10);
}

describe('catch-up in the midst of a table', () => {
  it('asks the brake before each piece, and waits as long as it says', async () => {
    const waits: number[] = [];
    const wait = (): number => waits.push(15) && 15;
    const began = performance.now();
    expect(await apply({ ...UNBRAKED, pace: 'slow', wait })).toBe(ROWS);
    expect(waits.length).toBeGreaterThan(10);
    expect(performance.now() - began).toBeGreaterThan(waits.length * 5);
    await expectEqual();
  });

  it('gives the lock of a table to an application that wants it, and applies the rest after that', async () => {
    const limits = { brake: { ...moving.migration.config.brake, lockWaitMs: 100 } };
    const context = await moving.migration.context('sync', limits);
    const brake = Brake.open(context, 40);
    // As slow as that, the table would take some minutes.
    let given = false;
    const { clear, waiter } = brake;
    const running = apply({ ...UNBRAKED, clear, waiter, wait: () => (given ? 0 : 1_000) }, context);
    await untilReading();
    const began = performance.now();
    await moving.source.query(`BEGIN; LOCK TABLE large IN ACCESS EXCLUSIVE MODE; COMMIT`);
    given = true;
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(await running).toBe(ROWS);
    await brake.close();
    await expectEqual();
  });

  it('gives its snapshot back when nothing may move for long', async () => {
    let pauses: string | undefined = undefined as string | undefined;
    let freely = false;
    let free = (): void => undefined;
    const freed = new Promise<void>((resolve) => (free = resolve));
    const clear = (): Promise<void> => (pauses === undefined ? Promise.resolve() : freed);
    const wait = (): number => (freely ? 0 : 300);
    const running = apply({ ...UNBRAKED, clear, wait, longPause: () => pauses });
    await untilReading();
    pauses = '9 sessions are active on the source';
    while ((await moving.source.query(READING)).rowCount !== 0) await sleep(10);
    freely = true;
    pauses = undefined;
    free();
    expect(await running).toBe(ROWS);
    await expectEqual();
  });

  it('hurries with what it has given back five times, so that it ends', async () => {
    const context = await moving.migration.context('sync');
    const warn = jest.spyOn(context.log, 'warn').mockClear();
    const brake = { ...UNBRAKED, wait: () => 1_000, waiter: () => 'pid 7 (shop, web): LOCK TABLE large' };
    expect(await apply(brake, context)).toBe(ROWS);
    const said = warn.mock.calls as unknown as [{ cause: string }, string][];
    expect(said.map(([{ cause }, what]) => `${what}: ${cause}`)).toEqual(
      Array.from({ length: 5 }, () => 'given back: pid 7 (shop, web): LOCK TABLE large waits for its lock'),
    );
    await expectEqual();
  });
});
