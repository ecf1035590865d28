import { applyChanges, type Sessions } from '../../../assets/agent/catch-up/apply';
import { Lease } from '../../../assets/agent/lease';
import { cutOff, expectItemsEqual, intercept, startItems, WAYS, type Moving } from './moving';

let moving: Moving;
beforeAll(async () => {
  moving = await startItems(100);
});
afterAll(() => moving.migration.stop());

/** New, changed, moved and deleted keys, and a unique value that goes from row to row; no two rounds alike. */
const change = (): Promise<unknown> => {
  round += 1;
  return moving.source.query(`
    DELETE FROM item WHERE abs(id) > 1000;
    INSERT INTO item SELECT ${round + 1} * 1000 + i, NULL, repeat('y', 500) FROM generate_series(1, 50) i;
    UPDATE item SET filler = repeat('${round % 10}', 500) WHERE id % 3 = 0;
    UPDATE item SET label = 'in passing' WHERE id = 1;
    UPDATE item SET label = 'from 1 ${round}' WHERE id = 2; UPDATE item SET label = 'from 2 ${round}' WHERE id = 1;
    UPDATE item SET id = -id WHERE id % 7 = 0; DELETE FROM item WHERE id % 11 = 0`);
};
let round = 0;

const drop = ({ source, target }: Sessions): void => cutOff(source, target);

/** Calls `then` ahead of the nth statement of both ends together. Returns the list of statements, which grows. */
function atStatement(pair: Sessions, nth: number, then: () => void): string[] {
  const said: string[] = [];
  for (const end of ['source', 'target'] as const) {
    intercept(pair[end], (text) => {
      if (said.push(`${end} ${/\w+/.exec(text)?.[0]}`) === nth) then();
      return undefined;
    });
  }
  return said;
}

/** The statements of a run that nothing happens to. */
async function recorded(way: typeof applyChanges): Promise<string[]> {
  const pair = await moving.sessions();
  const said = atStatement(pair, 0, () => undefined);
  await change();
  await way(pair, moving.lease, moving.relation('item'));
  drop(pair);
  await expectItemsEqual(moving);
  return said;
}

describe.each(WAYS)('catch-up %s', (_name, way) => {
  it.each(['before', 'once'] as const)(
    'loses and doubles nothing when the program dies %s any of its statements is sent, and is started again',
    async (moment) => {
      const statements = await recorded(way);
      expect(statements.filter((each) => each.endsWith('COMMIT'))).toEqual(['target COMMIT', 'source COMMIT']);
      for (const [index, statement] of statements.entries()) {
        await change();
        const pair = await moving.sessions();
        const outcome = await new Promise<string>((resolve, reject) => {
          const die = (): void => {
            drop(pair);
            resolve(statement);
          };
          const said = atStatement(pair, index + 1, () => (moment === 'before' ? die() : setImmediate(die)));
          way(pair, moving.lease, moving.relation('item')).then(
            () => reject(new Error(`lived through ${said.join(', ')}`)),
            () => undefined,
          );
        });
        expect(outcome).toBe(statement);
        await moving.apply('item', way);
        await expectItemsEqual(moving);
      }
    },
  );

  it('loses nothing and brings nothing back when another host takes over at any of its statements', async () => {
    const statements = await recorded(way);
    for (const [index] of statements.entries()) {
      await change();
      const [stale, heir] = [await moving.sessions(), await moving.sessions()];
      const over = new Promise<void>((resolve, reject) => {
        const takeOver = async (): Promise<void> => {
          const taking = Lease.take(heir.target, 'catch-up');
          // What the first may have read already is no more.
          await moving.source.query('DELETE FROM item WHERE id = (SELECT max(id) FROM item)');
          moving.lease = await taking;
          await way(heir, moving.lease, moving.relation('item'));
        };
        atStatement(stale, index + 1, () => void takeOver().then(resolve, reject));
      });
      const first = await way(stale, moving.lease, moving.relation('item')).catch((error: Error) => error.message);
      expect(typeof first === 'number' ? '' : first).toMatch(/^$|another run has taken over; nothing was written/);
      drop(stale);
      await over;
      drop(heir);
      await moving.apply('item', way);
      await expectItemsEqual(moving);
    }
  });
});
