import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning } from '../../helpers/processes';
import { startBothWays, type BothWays } from './both-ways';

const BUDGET_SECONDS = 4;

let directory: string;
let ways: BothWays;
let probe: ReturnType<typeof prober>;

const file = (name: string): string => join(directory, name);
/** What the hook does from now on: a shell command. */
const hook = (command: string): void => writeFileSync(file('behaviour'), command);
/** What the hook was told so far. */
const told = (): string[] => (existsSync(file('told')) ? readFileSync(file('told'), 'utf8').trim().split('\n') : []);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ibex-aborts-'));
  const script = `echo "$IBEX_MOMENT $1" >> '${file('told')}'; echo $$ > '${file('pid')}'; . '${file('behaviour')}'`;
  ways = await startBothWays('CREATE TABLE probe (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY)', {
    budgetSeconds: BUDGET_SECONDS,
    compareAtFreeze: false,
    wayBack: 'none',
    switches: [{ kind: 'command', command: ['/bin/sh', '-c', script, 'hook'], timeoutSeconds: 60 }],
  });
});
afterAll(async () => {
  await ways?.stop();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(() => {
  rmSync(file('told'), { force: true });
  rmSync(file('pid'), { force: true });
  probe = prober();
});
afterEach(() => probe.stop());

/** Writes to both ends every 100 ms, and keeps what it saw. */
function prober() {
  let both = 0;
  let refusedSince: number | undefined;
  let longestMs = 0;
  const stopping = new AbortController();
  let accepts = false;
  const done = (async () => {
    while (!stopping.signal.aborted) {
      // One after the other: a pair that is answered at one instant cannot be had.
      const source = await ways.takesWrites('source');
      const target = await ways.takesWrites('target');
      const again = target && (await ways.takesWrites('source'));
      if (again) both += 1;
      accepts = source;
      if (source) refusedSince = undefined;
      else longestMs = Math.max(longestMs, performance.now() - (refusedSince ??= performance.now()));
      await sleep(100);
    }
  })();
  return {
    /** Whether the source took the last write. */
    accepts: () => accepts,
    stop: async () => {
      stopping.abort();
      await done;
      return { both, longestMs };
    },
  };
}

/** Writes go on at the source in time, nobody ever had both ends, and nothing is lost. */
async function goesOn(): Promise<void> {
  for (const end = Date.now() + (BUDGET_SECONDS + 5) * 1000; !probe.accepts();) {
    if (Date.now() > end) throw new Error('the source takes no writes within the budget and five seconds');
    await sleep(50);
  }
  const { both, longestMs } = await probe.stop();
  expect(both).toBe(0);
  expect(longestMs).toBeLessThan((BUDGET_SECONDS + 5) * 1000);
  expect(await ways.takesWrites('target')).toBe(false);
}

it('a hook that fails ends the cutover, and clients are moved back', async () => {
  hook('[ "$1" = source ] || { echo "no such cluster" >&2; exit 7; }');
  const { status, output } = await ways.run('cutover');
  expect(status).toBe(1);
  expect(output).toMatch(/\/bin\/sh no such cluster \(write pause \d+ ms\)$/);
  expect(told()).toEqual(['switch target', 'switch source']);
  await goesOn();
});

it('a hook that hangs spends the budget, is gone, and only then clients are moved back', async () => {
  hook(
    `if [ "$1" = target ]; then cp '${file('pid')}' '${file('first')}'; sleep 60; fi; ` +
      `grep -qs '^State:.[^Z]' /proc/$(cat '${file('first')}')/status && echo beside >> '${file('told')}'; true`,
  );
  const { status, output } = await ways.run('cutover');
  expect(status).toBe(1);
  expect(output).toMatch(/switching clients to the target by \/bin\/sh took longer than the [0-4](\.\d)? s/);
  expect(told()).toEqual(['switch target', 'switch source']);
  await goesOn();
});

it('a hook that hangs while the program is killed ends by itself in time', async () => {
  hook('sleep 60');
  await ways.kill('cutover', () => Promise.resolve(existsSync(file('pid'))));
  const pid = Number(readFileSync(file('pid'), 'utf8'));
  await goesOn();
  for (const end = Date.now() + 5_000; isRunning(pid) && Date.now() < end;) await sleep(50);
  expect(isRunning(pid)).toBe(false);
  expect(told()).toEqual(['switch target']);
});

it('after all that the next try succeeds, with every row', async () => {
  hook('true');
  await ways.source.query('INSERT INTO public.t VALUES (1)');
  const { status } = await ways.run('cutover');
  expect(status).toBe(0);
  expect(told()).toEqual(['switch target']);
  expect(await ways.rows('target', 'public.t')).toEqual(await ways.rows('source', 'public.t'));
});
