import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandHook } from '../../../assets/agent/switch/command';
import type { Moment } from '../../../assets/agent/switch/config';
import { hook } from '../../../assets/agent/switch/hook';
import { inTime } from '../../../assets/agent/switch/in-time';
import { isRunning } from '../../helpers/processes';

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'ibex-hook-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const file = (): string => join(directory, 'file');
const shell = (script: string) => commandHook(['/bin/sh', '-c', script, 'hook']);
const run = (script: string, ms = 10_000, moment: Moment = 'switch'): Promise<void> =>
  inTime('the hook', ms, (time) => shell(script).run(moment, 'target', time));

test('is told the end and the moment', async () => {
  await run(`echo "$1 $IBEX_MOMENT" > '${file()}'`, 10_000, 'afterOpen');
  expect(readFileSync(file(), 'utf8')).toBe('target afterOpen\n');
});

test('fails with what it said last', async () => {
  await expect(run('echo "no cluster" >&2; exit 3')).rejects.toThrow('/bin/sh no cluster');
  await expect(run('exit 3')).rejects.toThrow('/bin/sh ended with 3');
});

test('that is not there is found by the look', async () => {
  const look = (program: string) => inTime('', 1_000, (time) => commandHook([program]).check(1_000, time));
  await expect(look(file())).resolves.toEqual([`${file()} is no program`]);
  await expect(look('/bin/sh')).resolves.toEqual([]);
});

test('that hangs is killed with its children, and is gone when that is said', async () => {
  await expect(run(`sleep 60 & echo $! > '${file()}'; wait`, 500)).rejects.toThrow(/took longer than the 0\.5 s/);
  expect(isRunning(Number(readFileSync(file(), 'utf8')))).toBe(false);
});

test('that left a child behind which holds its output is not waited for', async () => {
  const begin = performance.now();
  await run('setsid sleep 5 & exit 0');
  expect(performance.now() - begin).toBeLessThan(4_000);
});

test('ends in time even when this program is gone', async () => {
  // The signal that would kill it never comes, as when nobody is left to send it.
  const late = { signal: new AbortController().signal, left: () => 100 };
  await expect(shell(`sleep 2; touch '${file()}'`).run('switch', 'target', late)).rejects.toThrow(/SIGKILL|137/);
  await sleep(1_700);
  expect(existsSync(file())).toBe(false);
});

test('is run at the moments of the settings alone', () => {
  const given = hook(shell(''), { at: ['beforeFreeze', 'afterOpen'], timeoutSeconds: 1 });
  expect([given.hold, given.move, given.finish].map((each) => each !== undefined)).toEqual([true, false, true]);
  const usual = hook(shell(''), { timeoutSeconds: 1 });
  expect([usual.hold, usual.move, usual.finish].map((each) => each !== undefined)).toEqual([false, true, false]);
});

test('a file that is run by an interpreter is told by its name', () => {
  expect(commandHook(['/usr/bin/node', '/opt/rollout/move.cjs', '/etc/x']).name).toBe('node move.cjs');
  expect(commandHook(['/usr/local/bin/rollout', 'now']).name).toBe('/usr/local/bin/rollout');
});
