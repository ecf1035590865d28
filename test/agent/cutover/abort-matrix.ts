import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Direction, End } from '../../../assets/agent/endpoints';
import { BACK_STEPS, PAUSE_STEPS, type StepName } from '../../../assets/agent/cutover/steps';
import { bundle } from '../../../lib/bundle';
import { startBothWays, type BothWays } from './both-ways';

/** One way to end everything at one step of the pause. */
export interface Abort {
  /** Of a cutover, or of a rollback. */
  readonly direction: Direction;
  readonly step: StepName;
  /** Before the step has done anything, or in the midst of its work. */
  readonly moment: 'before' | 'within';
  /** The command that moves the writes, or with it the server of the host's memory, as when the host loses its power. */
  readonly victim: 'command' | 'host';
}

/** Every step that the program knows of. */
export const STEPS: readonly StepName[] = [...PAUSE_STEPS, ...BACK_STEPS];

/** Two of them are the margin before the deadline. */
const BUDGET_SECONDS = 4;
/** Runs until one comes to the step: a slow machine spends the budget before, and writes are given back. */
const ATTEMPTS = 4;
const LEFT: Readonly<Record<Direction, End>> = { forward: 'source', back: 'target' };
const OTHER: Readonly<Record<End, End>> = { source: 'target', target: 'source' };

/** Steps after which every run goes forward. */
export const goesForward = (step: StepName): boolean =>
  PAUSE_STEPS.findIndex((name) => name === step) > PAUSE_STEPS.indexOf('point of no return');

/** Writes to one end after the other every 100 ms, keeps each write that was taken, and never stops by itself. */
class Prober {
  /** How often both ends took writes at one time. */
  both = 0;
  readonly taken: number[] = [];
  private last: End | undefined;
  private cycles = 0;
  private next = 0;
  private readonly stopping = new AbortController();
  private readonly done: Promise<void>;

  constructor(private readonly clients: Readonly<Record<End, Client>>) {
    this.done = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.done;
  }

  /** The end that takes writes from now on; undefined when none does. */
  async now(): Promise<End | undefined> {
    for (const until = this.cycles + 2; this.cycles < until; await sleep(20));
    return this.last;
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const source = await this.write('source');
      const target = await this.write('target');
      // One after the other, so only an end that takes writes before and after the other one did was open as well.
      if (source && target && (await this.write('source'))) this.both += 1;
      this.last = target ? 'target' : source ? 'source' : undefined;
      this.cycles += 1;
      await sleep(100);
    }
  }

  private async write(end: End): Promise<boolean> {
    this.next += 1;
    try {
      await this.clients[end].query('INSERT INTO public.probe VALUES ($1)', [this.next]);
    } catch {
      return false;
    }
    this.taken.push(this.next);
    return true;
  }
}

/** Describes what is left when everything ends at these steps of the pause. Those of one direction in a row cost fewer moves. */
export function describeAborts(aborts: readonly Abort[]): void {
  let ways: BothWays;
  let prober: Prober;
  let serving: End = 'source';
  const directory = mkdtempSync(join(tmpdir(), 'ibex-matrix-'));
  const toldFile = join(directory, 'told');
  /** What the hook that moves the clients was told: moment and end. */
  const told = (): string[] => (existsSync(toldFile) ? readFileSync(toldFile, 'utf8').trim().split('\n') : []);
  const clientsAt = (): string => told().at(-1)?.split(' ')[1] ?? 'source';

  beforeAll(async () => {
    ways = await startBothWays(
      'CREATE TABLE probe (id int PRIMARY KEY)',
      {
        budgetSeconds: BUDGET_SECONDS,
        switches: [
          {
            kind: 'command',
            command: ['/bin/sh', '-c', `echo "$IBEX_MOMENT $1" >> '${toldFile}'`, 'hook'],
            at: ['beforeFreeze', 'switch'],
            timeoutSeconds: 10,
          },
        ],
      },
      undefined,
      (file) => bundle({ entry: 'test/agent/cutover/dying-program.ts', outFile: file, target: 'node20' }),
    );
    const clients = { source: await ways.migration.admin('source'), target: await ways.migration.admin('target') };
    prober = new Prober(clients);
  }, 120_000);
  afterAll(async () => {
    await prober?.stop();
    await ways?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  const phase = (): string => (serving === 'source' ? 'cutover' : 'rollback');

  /** The end that takes writes, waited for. Throws when that takes too long. */
  async function serves(withinMs: number): Promise<End> {
    for (const end = Date.now() + withinMs; ;) {
      const now = await prober.now();
      if (now !== undefined) return now;
      if (Date.now() > end) throw new Error(`no end takes writes; fences are ${(await ways.fences()).join(', ')}`);
    }
  }

  /** Moves writes until the program dies where it should. */
  async function dies(environment: Readonly<Record<string, string>>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const { killed, output } = await ways.die(phase(), environment);
      if (killed) return;
      if (attempt === ATTEMPTS || !output.includes('the time budget')) throw new Error(`it does not die: ${output}`);
    }
  }

  /** Moves the writes to the other end. */
  async function moves(): Promise<void> {
    expect(await ways.run(phase())).toMatchObject({ status: 0 });
    serving = OTHER[serving];
    expect(clientsAt()).toBe(serving);
  }

  /** What runs from the host's boot has led the clients to the end that serves. */
  async function boots(): Promise<void> {
    await ways.migration.host.start();
    const { state } = await ways.migration.context('test');
    const fact = serving === 'source' ? 'cutover.clientsLed' : 'back.cutover.clientsLed';
    const home = async (): Promise<boolean> => (await state.fact(fact)) !== true;
    if (!(await home())) await ways.kill('supervise', home);
    expect(clientsAt()).toBe(serving);
  }

  it.each(aborts)(
    '$direction, $step: $victim killed $moment',
    async ({ direction, step, moment, victim }) => {
      if (serving !== LEFT[direction]) await moves();
      const back = BACK_STEPS.some((name) => name === step);
      await dies({ IBEX_TEST_STEP: step, IBEX_TEST_MOMENT: moment, ...(back && { IBEX_TEST_FAILING: 'switch' }) });
      if (victim === 'host') await ways.migration.host.kill();
      const fences = await ways.fences();
      const passing =
        fences[serving === 'source' ? 0 : 1] === 'final' && fences[serving === 'source' ? 1 : 0] === 'closed';
      const open = passing ? await prober.now() : await serves((BUDGET_SECONDS + 5) * 1000);
      if (passing) expect(open).toBeUndefined();
      if (moment === 'before') {
        const isOpen = step === 'let clients go on';
        expect({ passing, open }).toEqual({
          passing: goesForward(step) && !isOpen,
          open: passing ? undefined : isOpen ? OTHER[serving] : serving,
        });
      }
      const moved = passing || open === OTHER[serving];
      if (victim === 'host') await (moved ? ways.migration.host.start() : boots());
      if (moved) {
        await moves();
        expect(await serves(5_000)).toBe(serving);
      }
      expect(prober.both).toBe(0);
    },
    60_000,
  );

  it('no attempt began before the clients were back at the end that served', () => {
    const ends = told().map((line) => line.split(' ')[1]);
    const astray = told().filter((line, index) => line.startsWith('beforeFreeze') && ends[index - 1] === ends[index]);
    expect(astray).toEqual([]);
  });

  it('nothing is lost: every write that either end took is there, and both ends are alike', async () => {
    const again = await ways.run(phase());
    expect(again).toEqual({ status: 0, output: expect.stringContaining(' 0 different') as string });
    serving = OTHER[serving];
    await prober.stop();
    const rows = new Set((await ways.rows(serving, 'public.probe')).map((row) => Number(row.slice(1, -1))));
    expect(prober.taken.filter((id) => !rows.has(id))).toEqual([]);
    expect(prober.taken.length).toBeGreaterThan(aborts.length);
    expect(prober.both).toBe(0);
  }, 60_000);
}
