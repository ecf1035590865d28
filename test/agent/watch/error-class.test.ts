import { errorOf, isOfAMove } from '../../../assets/agent/watch/error-class';

const stateOf = (line: string): string | undefined => errorOf(line)?.state;

test.each([
  ['%t:%r:%u@%d:[%p]: of RDS', '2026-11-21 01:00:00 UTC:10.0.0.1(5432):app@shop:[77]:'],
  ['%m [%p] %u@%d', '2026-11-21 01:00:00.001 UTC [77] app@shop '],
  ['nothing', ''],
])('reads an error behind the prefix %s', (_, prefix) => {
  expect(errorOf(`${prefix}ERROR:  relation "invoice" does not exist at character 15`)).toEqual({
    level: 'ERROR',
    state: '42P01',
  });
  expect(errorOf(`${prefix}LOG:  checkpoint starting: time`)).toBeUndefined();
});

test('takes the SQLSTATE from the prefix that has it, and from a verbose message', () => {
  expect(stateOf('2026-11-21 01:00:00.1 UTC:10.0.0.1(5432):app@shop:[77]:4:P0001:2026:3/1:0:ab:ERROR:  no')).toBe(
    'P0001',
  );
  expect(stateOf('[77] app@shop ERROR:  22012: division by zero')).toBe('22012');
});

test.each([
  ['duplicate key value violates unique constraint "a"', '23505'],
  ['permission denied for table invoice', '42501'],
  ['function f(integer) does not exist', '42883'],
  ['sorry, too many clients already', '53300'],
  ['canceling statement due to lock timeout', '55P03'],
  ['canceling statement due to user request', '57014'],
  ['password authentication failed for user "app"', '28P01'],
  ['card 4111 1111 is refused', 'other'],
])('%s is %s', (message, state) => {
  expect(stateOf(`app@shop FATAL:  ${message}`)).toBe(state);
});

test('nothing of what a log says comes out, whatever it holds', () => {
  expect(errorOf('app@shop ERROR:  invalid input syntax for type integer: "4111 1111"')).toEqual({
    level: 'ERROR',
    state: '22P02',
  });
  expect(errorOf(`app@shop STATEMENT:  SELECT 'ERROR:  relation "x" does not exist'`)).toBeUndefined();
  expect(errorOf('\tand a line that goes on with ERROR: ')).toBeUndefined();
});

test('errors of our own login do not count', () => {
  expect(errorOf('[77]:ibex_migrator@shop:ERROR:  deadlock detected', 'ibex_migrator')).toBeUndefined();
  expect(errorOf('[77]:app@shop:ERROR:  deadlock detected', 'ibex_migrator')).toBeDefined();
});

test('what is missing, refused, full or broken is of a move; what applications do every day is not', () => {
  expect(['42P01', '42501', '28P01', '53300', 'XX001', '25006', '57P03'].filter(isOfAMove)).toHaveLength(7);
  expect(['23505', '40001', '40P01', '57014', '57P01', 'P0001', 'other'].filter(isOfAMove)).toEqual([]);
});
