import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding, LookAt } from '../../../assets/agent/watch/finding';
import { logCheck } from '../../../assets/agent/watch/log-check';

let directory: string;
let log: string;
let look: () => Promise<Finding>;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ibex-log-'));
  log = join(directory, 'log');
  writeFileSync(log, 'app@shop PANIC:  of yesterday\n');
  const check = logCheck();
  const at = {
    config: { target: { logFile: log }, watch: { errorsPerMinute: 3 } },
    context: { endpoint: () => Promise.resolve({ user: 'ibex' }) },
  } as unknown as LookAt;
  look = () => check.ask(at);
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (...messages: string[]): void =>
  appendFileSync(log, messages.map((message) => `app@shop ${message}\n`).join(''));

test('what was there before the watch does not count', async () => {
  expect(await look()).toEqual({ verdict: 'ok', figure: 'no error in the last minute' });
});

test('what applications do every day is told and is well, by SQLSTATE', async () => {
  await look();
  write('ERROR:  duplicate key value violates unique constraint "a"', 'ERROR:  deadlock detected');
  expect(await look()).toEqual({
    verdict: 'ok',
    figure: '2 errors in the last minute: 23505 (1), 40P01 (1)',
  });
});

test('what a move makes is warned of', async () => {
  await look();
  write('ERROR:  permission denied for table "secret customers"');
  expect(await look()).toEqual({
    verdict: 'warn',
    figure: '1 error in the last minute: 42501 (1)',
    cause: 'a move makes such errors: 42501 (1)',
  });
});

test('more than is ordinary is bad, also when each look saw a part of it', async () => {
  await look();
  write('ERROR:  deadlock detected', 'ERROR:  deadlock detected');
  expect((await look()).verdict).toBe('ok');
  write('FATAL:  terminating connection due to administrator command', 'ERROR:  deadlock detected');
  expect(await look()).toMatchObject({
    verdict: 'bad',
    figure: '4 errors in the last minute: 40P01 (3), FATAL 57P01 (1)',
    cause: 'more than the 3 that are ordinary',
  });
});

test('one PANIC is bad', async () => {
  await look();
  write('PANIC:  could not locate a valid checkpoint record');
  expect((await look()).cause).toContain('the server broke');
});

test('a line that is half written is read when it is whole, and a log that was begun anew from its beginning', async () => {
  await look();
  appendFileSync(log, 'app@shop ERROR:  dead');
  expect((await look()).verdict).toBe('ok');
  appendFileSync(log, 'lock detected\n');
  expect((await look()).figure).toContain('40P01 (1)');
  writeFileSync(log, 'app@shop ERROR:  x\n');
  expect((await look()).figure).toContain('other (1)');
});
