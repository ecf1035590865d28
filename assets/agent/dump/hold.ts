import type { ChildProcess } from 'node:child_process';
import type { Context } from '../context';
import { Failure } from '../errors';
import { signalAll } from '../process';
import { writersOf } from './writers';

/** Time between two looks at the brake; milliseconds. */
const LOOK_MS = 250;

/** Time that a process runs, and stands, at half speed; milliseconds. */
const TURN_MS = 500;

/** The name that pg_dump's sessions have on the server. */
export const DUMP_SESSIONS = 'ibex pg_dump';

/** How many times `brake.lockWaitMs` somebody may wait for a table that is dumped. */
const MOST_WAITS = 10;

/** What holds a dump, to be ended with it. */
export interface Hold {
  /** Why it has ended pg_dump; undefined while it has not. */
  readonly failure: Failure | undefined;
  end(): void;
}

/**
 * Stops pg_dump and its jobs while the brake says so: they cannot be asked to wait. Their snapshot stays, which costs the
 * source less than their reading does. While somebody waits for a lock of theirs they are never stopped, since each has
 * every table until its end: they hurry, and are ended when that takes too long. So they are when capture was taken off.
 *
 * @param directory that it writes to
 */
export function holdWhilePaused(
  context: Pick<Context, 'brake' | 'config'>,
  pgDump: ChildProcess,
  directory: string,
): Hold {
  // Jobs that stand still, or are at a long table, do not see that pg_dump was killed: they would keep their snapshot.
  pgDump.once('exit', () => signalAll(writersOf(directory), 'SIGKILL'));
  return holdProcesses(context, { phase: 'dump', sessions: DUMP_SESSIONS, listed: () => writersOf(directory) });
}

/** Whom a hold stops. */
export interface Held {
  /** The phase that they work for. */
  readonly phase: string;
  /** How the names of their sessions on the source begin. */
  readonly sessions: string;
  /** Their process ids at this moment. */
  readonly listed: () => readonly number[];
}

/** The same for other processes that hold every table until their end. */
export function holdProcesses(
  { brake, config }: Pick<Context, 'brake' | 'config'>,
  { phase, sessions, listed }: Held,
): Hold {
  let failure: Failure | undefined;
  let waitedSince: number | undefined;
  let held = false;
  const signal = (name: NodeJS.Signals): void => signalAll(listed(), name);
  const hold = (wanted: boolean): void => {
    if (wanted === held) return;
    held = wanted;
    signal(wanted ? 'SIGSTOP' : 'SIGCONT');
  };
  const timer = setInterval(() => {
    try {
      brake.throwIfOff();
    } catch {
      signal('SIGKILL');
      return;
    }
    const waiter = brake.waiter(sessions);
    waitedSince = waiter === undefined ? undefined : (waitedSince ?? performance.now());
    const waited = config.brake.lockWaitMs + performance.now() - (waitedSince ?? Infinity);
    if (waited >= MOST_WAITS * config.brake.lockWaitMs) {
      failure = new Failure(
        `the ${phase} was ended, because ${waiter} waited ${Math.round(waited)} ms for a table, and it holds all of them until its end; keep such statements away, then start ${phase} again`,
      );
      signal('SIGKILL');
      return;
    }
    hold(brake.pace === 'paused' || (brake.pace === 'slow' && Math.floor(performance.now() / TURN_MS) % 2 === 0));
  }, LOOK_MS);
  return {
    get failure() {
      return failure;
    },
    end: () => {
      clearInterval(timer);
      hold(false);
    },
  };
}
