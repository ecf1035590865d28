import { concludeSoak, type Ended } from '../../lib/soak/result';

type Freeze = NonNullable<Ended['freeze']>;

const FREEZE: Freeze = { rowsCompared: 9, rowsDifferent: 0, seconds: 1, complete: true, notCompared: [] };

/** A soak in which all went well, but for what a test says. */
const ended = ({ lost = 0, writes = 20, freeze = {}, problems = [] as string[] } = {}): Ended =>
  ({
    minutes: 60,
    attempts: 1,
    writers: {
      statistics: { acknowledgedTransactions: 10, acknowledgedWrites: writes },
      verdict: { lostWrites: lost },
      pause: { longestMs: 1_500, at: undefined },
    },
    rough: [
      { writer: 'slow', acknowledged: 3, problems: [] },
      { writer: 'truncating', acknowledged: 4, problems },
    ],
    freeze: { ...FREEZE, ...freeze },
  }) as unknown as Ended;

describe('a soak', () => {
  it('has lost nothing when no writer misses anything and no row differs', () => {
    expect(concludeSoak(ended())).toMatchObject({
      rowsLostOrDifferent: 0,
      acknowledgedTransactions: 17,
      acknowledgedWrites: 20,
      rowsCompared: 9,
      longestPauseSeconds: 1.5,
    });
  });

  it.each([
    ['a write of the application is lost', { lost: 2 }, 2],
    ['rows differ at the freeze', { freeze: { rowsDifferent: 3 } }, 3],
    ['a rough writer misses something', { problems: ['one', 'two'] }, 2],
    ['all of that is so', { lost: 2, freeze: { rowsDifferent: 3 }, problems: ['one'] }, 6],
  ])('counts it when %s', (_, what, expected) => {
    expect(concludeSoak(ended(what)).rowsLostOrDifferent).toBe(expected);
  });

  it.each([
    ['nobody wrote', ended({ writes: 0 }), /none of the application's writes was acknowledged/],
    ['nothing was compared', { ...ended(), freeze: undefined }, /not every row .*: nothing was$/],
    ['no row was compared', ended({ freeze: { rowsCompared: 0 } }), /not every row .*: nothing was$/],
    [
      'a table was left out',
      ended({ freeze: { notCompared: [{ relation: '"shop"."wish"', cause: 'it was locked' }] } }),
      /not every row .*: "shop"\."wish" \(it was locked\)$/,
    ],
  ])('proves nothing, and says so, when %s', (_, of, message) => {
    expect(() => concludeSoak(of)).toThrow(message);
  });

  it('may leave out a table that a writer empties again and again, since that writer has looked at it', () => {
    const notCompared = [{ relation: '"rough"."emptied"', cause: 'it was emptied' }];
    expect(concludeSoak(ended({ freeze: { notCompared } })).rowsLostOrDifferent).toBe(0);
  });
});
