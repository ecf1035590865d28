import { Failure, UsageError } from '../assets/agent/errors';
import { npmCommand, number, path, runCommand, wholeNumber } from '../lib/command-line';
import { recordedConsole } from './helpers/console';

const shown = recordedConsole();

it.each<[string, () => Promise<number>, number, string]>([
  ['work that is done', async () => 0, 0, ''],
  ['goals that are missed', async () => 1, 1, ''],
  [
    'a failure',
    () => Promise.reject(new Failure('the disk is full; free some')),
    1,
    'try: the disk is full; free some\n',
  ],
  ['a mistake', () => Promise.reject(new UsageError('no such thing')), 2, 'try: no such thing\n'],
  [
    'a surprise',
    () => Promise.reject(new TypeError('x is not a function')),
    1,
    'try: x is not a function; run it again with IBEX_DEBUG=1 to see where it comes from\n',
  ],
])('%s is told by the exit status', async (_, work, status, line) => {
  const { console, said } = recordedConsole();
  expect([await runCommand('try', console, work), said()]).toEqual([status, line]);
});

it('help is no mistake, and an unknown option is one', async () => {
  const run = (args: string[]): Promise<number> =>
    runCommand('try', shown.console, async () => {
      npmCommand('try', 'Tries.', shown.console).parse(args, { from: 'user' });
      return 0;
    });
  expect([await run(['--help']), await run(['--fast']), await run(['what'])]).toEqual([0, 2, 2]);
  expect(shown.said()).toMatch(/^Usage: npm run try -- [^]*unknown option '--fast'/);
});

it('a signal counts more than what it broke', async () => {
  const events = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException', 'unhandledRejection'];
  const before = events.map((event) => process.listeners(event as 'SIGINT'));
  const { console } = recordedConsole();
  const status = await runCommand('try', console, async (interrupted) => {
    const stop = interrupted();
    process.emit('SIGTERM');
    stop.throwIfAborted();
    return 0;
  });
  for (const [index, event] of events.entries()) {
    const added = process.listeners(event as 'SIGINT').filter((listener) => !before[index]?.includes(listener));
    for (const listener of added) process.removeListener(event, listener);
  }
  expect(status).toBe(143);
});

it('a path starts where npm was called', () => {
  const before = process.env['INIT_CWD'];
  process.env['INIT_CWD'] = '/somewhere';
  try {
    expect([path('out.json'), path('/else/out.json')]).toEqual(['/somewhere/out.json', '/else/out.json']);
  } finally {
    if (before === undefined) delete process.env['INIT_CWD'];
    else process.env['INIT_CWD'] = before;
  }
});

it('numbers are above zero, and whole where they must be', () => {
  expect([number('0.5'), wholeNumber('7')]).toEqual([0.5, 7]);
  for (const wrong of [() => number('0'), () => number('x'), () => wholeNumber('0.5'), () => wholeNumber('-1')]) {
    expect(wrong).toThrow('above 0');
  }
});
