import type { Finding } from '../../../assets/agent/watch/finding';
import { newRecord, summaryOf, withLook, type WatchRecord } from '../../../assets/agent/watch/record';

const ok: Finding = { verdict: 'ok', figure: 'well' };
const warned: Finding = { verdict: 'warn', figure: '1 session', cause: 'somebody' };
const bad: Finding = { verdict: 'bad', figure: '1 of 1', cause: 'it gives false' };

const after = (...findings: Finding[]): WatchRecord =>
  findings.reduce(
    (record, finding, index) => withLook(record, new Map([['probe', finding]]), 5, `t${index}`),
    newRecord('c'),
  );

test('a watch in which all is well says so in few words', () => {
  expect(summaryOf(after(ok, ok))).toBe('2 looks in 10 s, none bad');
});

test('counts each verdict of a check, and keeps the newest of its worst with the time', () => {
  const record = after(warned, bad, { ...bad, figure: 'again' }, warned, ok);
  expect(record).toMatchObject({ looks: 5, badLooks: 2 });
  expect(record.checks['probe']).toEqual({
    ok: 1,
    warn: 2,
    bad: 2,
    last: ok,
    worst: { ...bad, figure: 'again', at: 't2' },
  });
  expect(summaryOf(record)).toBe('5 looks in 25 s, 2 bad; probe bad 2 times and warned 2 times, again: it gives false');
});
