import type { End } from '../endpoints';
import { Failure, oneLine } from '../errors';
import type { HeldClients } from './console';
import { inTime, type Time } from './in-time';
import type { SessionsOf } from './old-sessions';
import type { Done, Switch } from './switch';

/** Longest time of a look at one switch; milliseconds. */
const CHECK_MS = 15_000;
/** Longest time of letting held clients go on; milliseconds. */
const RELEASE_MS = 5_000;
/** Longest time of moving the clients back, whatever a switch may take otherwise; milliseconds. */
const LONGEST_BACK_MS = 30_000;

/** Whether one switch could move the clients. */
export interface Readiness {
  readonly switch: string;
  /** What stands in the way; empty when it is ready. */
  readonly problems: readonly string[];
}

/** What became of one switch after writes were opened. */
export interface Finished {
  readonly switch: string;
  readonly done?: string;
  /** Sessions that it ended on the end that was left; absent where it ends none. */
  readonly ended?: readonly SessionsOf[];
  readonly problem?: string;
}

/** All ways in which the clients of one migration move, in the order of the settings. */
export class Switches {
  /** Those that may have changed something, and so have to go back when the cutover does. */
  private readonly begun = new Set<Switch>();

  constructor(private readonly all: readonly Switch[]) {}

  /** Whether there is any; else the operator moves the clients. */
  get any(): boolean {
    return this.all.length > 0;
  }

  /** Asks every switch whether it could move the clients to this end now. */
  check(to: End): Promise<Readiness[]> {
    return Promise.all(
      this.all.map(async (each) => ({
        switch: each.name,
        problems: await inTime(each.name, CHECK_MS, (time) => each.check(to, time)).catch((error: unknown) => [
          oneLine(error),
        ]),
      })),
    );
  }

  /** Holds the clients of those switches that can, before writes are stopped. Throws Failure; then call `back`. */
  async hold(to: End, leftMs: () => number): Promise<void> {
    for (const each of this.all) {
      if (!each.hold) continue;
      this.begun.add(each);
      await inTime(`holding clients by ${each.name}`, Math.min(each.limitMs, leftMs()), (time) => each.hold!(to, time));
    }
  }

  /**
   * Moves the clients, one switch after the other. Returns what was done. Throws Failure; then call `back`.
   *
   * @param leftMs what is left of the budget of the pause, from which what switches have of their own is not taken
   */
  async move(to: End, leftMs: () => number): Promise<string> {
    const done: string[] = [];
    let ofTheirOwn = 0;
    for (const each of this.all) {
      if (!each.move) continue;
      this.begun.add(each);
      const limit = each.ownBudget === true ? each.limitMs : Math.min(each.limitMs, leftMs() + ofTheirOwn);
      const began = performance.now();
      done.push(await inTime(`switching clients to the ${to} by ${each.name}`, limit, (time) => each.move!(to, time)));
      if (each.ownBudget === true) ofTheirOwn += performance.now() - began;
    }
    return done.length === 0 ? `the operator points the clients at the ${to}` : done.join('; ');
  }

  /** Whom the switches keep waiting at this moment. Throws what went wrong. */
  async held(): Promise<HeldClients[]> {
    return (await Promise.all(this.all.map((each) => each.held?.() ?? []))).flat();
  }

  /** Lets held clients go on, all at once. Never throws: returns what failed, since writes are open now. */
  release(to: End): Promise<Finished[]> {
    return this.each(
      this.all.filter(({ release }) => release),
      'letting clients go on',
      () => RELEASE_MS,
      async (each, time) => {
        await each.release!(to, time);
        return `clients go on at the ${to}`;
      },
    );
  }

  /** What follows when nobody waits any more, all at once. Never throws. */
  finish(to: End): Promise<Finished[]> {
    return this.each(
      this.all.filter(({ finish }) => finish),
      'what follows the switch',
      (each) => each.finishMs,
      (each, time) => each.finish!(to, time),
    );
  }

  /**
   * Puts the clients back to the end that takes writes, by every switch that had begun, all at once: one that hangs
   * keeps no other waiting. Never throws.
   */
  async back(to: End): Promise<Finished[]> {
    const begun = [...this.begun];
    this.begun.clear();
    const moved = await this.each(
      begun,
      `moving clients back to the ${to}`,
      (each) => Math.min(each.limitMs, LONGEST_BACK_MS) + RELEASE_MS,
      async (each, time) => {
        const said = await each.move?.(to, time);
        await each.release?.(to, time);
        return said ?? `clients go on at the ${to}`;
      },
    );
    const finished = await this.each(
      begun.filter(({ finish }) => finish),
      'what follows the way back',
      (each) => each.finishMs,
      (each, time) => each.finish!(to, time),
    );
    return [...moved, ...finished];
  }

  /**
   * The same for what an attempt that died has left.
   *
   * @param led whether it may have moved clients by any switch; else only those that lead elsewhere, and can tell, move
   */
  async home(to: End, led: boolean): Promise<Finished[]> {
    const astray = await Promise.all(this.all.map((each) => led || leadsAway(each, to)));
    for (const [index, each] of this.all.entries()) if (astray[index]) this.begun.add(each);
    return this.back(to);
  }

  /** Ends sessions; nothing changes for the clients. */
  close(): void {
    for (const each of this.all) each.close?.();
  }

  private each(
    some: readonly Switch[],
    what: string,
    limitMs: (each: Switch) => number,
    work: (each: Switch, time: Time) => Promise<string | Done>,
  ): Promise<Finished[]> {
    return Promise.all(
      some.map(async (each) => {
        try {
          const done = await inTime(`${what} by ${each.name}`, limitMs(each), (time) => work(each, time));
          return { switch: each.name, ...(typeof done === 'string' ? { done } : done) };
        } catch (error) {
          return { switch: each.name, problem: oneLine(error) };
        }
      }),
    );
  }
}

/** Whether it leads to the other end. One that cannot be asked is told of by the gate. */
async function leadsAway(each: Switch, from: End): Promise<boolean> {
  const { leads } = each;
  if (!leads) return false;
  const now = await inTime(each.name, CHECK_MS, leads).catch(() => undefined);
  return now !== undefined && now !== from;
}

/** Throws Failure that names what is wrong, if anything is. */
export function requireDone(finished: readonly Finished[], remedy: string): void {
  const problems = finished.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  if (problems.length > 0) throw new Failure(`${problems.join('; ')}; ${remedy}`);
}
